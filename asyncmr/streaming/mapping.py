"""How the splits of a stream are mapped: as those of a batch job, by the same program, in runs for the key groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from asyncmr.asynchronous import is_async
from asyncmr.batches import batch_kind
from asyncmr.connectors.line_numbers import line_number
from asyncmr.connectors.memory import Collected
from asyncmr.errors import UsageError
from asyncmr.job import Job, Step
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.formats import SlicedPairs
from asyncmr.kernel.naming import runnable_mapper
from asyncmr.kernel.paned import PanedSplit
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.program import StepProgram
from asyncmr.kernel.reductions import reduction_of
from asyncmr.kernel.results import ResultEncoder
from asyncmr.pipeline.attempts import Attempts, Task
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.feeding import split_buffer, whole
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.legs import Leg
from asyncmr.pipeline.mapper import SplitMapper
from asyncmr.pipeline.messages import Mapped, Pieces
from asyncmr.pipeline.resources import Resources
from asyncmr.pipeline.setups import preparation
from asyncmr.pipeline.skipping import Skipping
from asyncmr.protocols import Decoder, Split
from asyncmr.workers import Account

KEY_GROUPS = 64


def streamable(job: Job) -> Step:
    """The one step of a job that can run for ever.

    Raises:
        UsageError: this one cannot, and why.
    """
    if not isinstance(job, Job):
        raise UsageError(
            f"a {type(job).__name__} is no job; pass an asyncmr.Job, e.g. Job(mapper=..., fold=...)"
        )
    *earlier, step = job.steps
    wrong = None
    if earlier:
        wrong = (
            "is a chain of steps, and the second would wait for the end of the first, which never comes; give a job "
            "of one step"
        )
    elif not callable(step.mapper):
        wrong = "has mappers for several named inputs; give it one mapper for all feeds"
    elif is_async(step.mapper):
        wrong = "has an async mapper; a stream maps in worker processes, so make it a plain function"
    elif step.reducer is not None:
        wrong = (
            "has a reducer, which needs all values of a key, and a stream never has them all, nor may it keep what "
            "it had; say the same with fold= or aggregator=, which keep one accumulator for a key"
        )
    elif step.fold is None and step.aggregator is None:
        wrong = "has nothing that reduces, so there is no state to keep; give it fold= or aggregator="
    elif step.partitioner is not None or step.sort:
        wrong = (
            "has a partitioner or sort=, which are about the parts of an output, and a stream has none; leave them "
            "out"
        )
    if wrong is not None:
        raise UsageError(f"job {job.title!r} cannot be streamed: it {wrong}")
    return step


@dataclass(slots=True)
class MappedSplit:
    """What became of a split: how many records it had and how many pairs they made, and the runs of each pane. `aside`:
    why lines are in none, how many, and they. `latest`: the latest time in each of its sections, in milliseconds since
    1970."""

    records: int
    pairs: int
    panes: list[tuple[int, Mapped]]
    aside: list[tuple[str, int, bytes]] = field(default_factory=list)
    latest: list[int | None] = field(default_factory=list)


class StreamMapper:
    """Maps the splits of a stream, whose `partitioning` are its key groups. `program` also keeps its state, and
    gives results as `encoders` have them."""

    def __init__(
        self, job: Job, resources: Resources, decoder: Decoder, encoders: tuple[ResultEncoder, ...]
    ) -> None:
        step = streamable(job)
        limits = resources.limits
        mapper = runnable_mapper(step.mapper, decoder, limits.room(resources.pool.workers))
        leg = Leg(replace(step, mapper=mapper), "")
        self.partitioning = Partitioning(step.partitions or KEY_GROUPS, hasher=resources.hasher)
        prepared, parts = preparation(resources.programs, job, leg, None)
        self.program = resources.programs.of(
            job,
            ("stream", decoder, encoders),
            lambda: StepProgram(
                mapper=mapper,
                decoder=decoder,
                encoder=SlicedPairs(),
                reduction=reduction_of(step),
                layout=BucketLayout(self.partitioning, 1, bucket_bytes=limits.bucket),
                preparation=prepared,
                table_bytes=limits.table,
                results=encoders,
            ),
            parts=parts,
        )
        self.title = job.title
        ledger = Ledger(job.title)
        skipping = Skipping(
            ledger, resources.store, resources.disk, resources.trails, resources.tolerance, letters=False
        )
        self._context = StepContext(
            attempts=Attempts(
                resources.pool,
                Account(job.title),
                self.program,
                job=job.title,
                tolerance=resources.tolerance,
                trail=skipping.trail,
                line_number=partial(line_number, resources.disk),
            ),
            store=resources.store,
            sink=Collected(),
            ledger=ledger,
            skipping=skipping,
            limits=limits,
            prefix="",
            sorts=False,
            shares=1,
        )
        kind = batch_kind(step.mapper)
        self.memory = 0 if kind is None else kind.memory * resources.pool.workers

    async def map(self, split: Split, pane: int) -> MappedSplit:
        """Maps a split, all of which belongs to one pane. The books of a batch job are kept for each split alone: those
        of a stream would never be closed."""
        ledger = Ledger(self.title)
        mapper = SplitMapper(replace(self._context, ledger=ledger), shuffles=True, combines=True, total=None)
        mapped, _ = await mapper.map(split)
        return MappedSplit(ledger.records_read(), mapped.pairs, [(pane, mapped)])

    async def map_panes(
        self,
        split: Split,
        rule: tuple[str, int],
        *,
        open_from: int | None,
        believed: int | None,
        sections: Sequence[int],
    ) -> MappedSplit:
        """Maps a split that is divided by the time of its lines, in the worker; the arguments are those of
        `kernel.panes.divide`."""
        context, groups = self._context, self.partitioning.partitions
        argument = tuple(
            PanedSplit(split.index, groups, tuple(rule), open_from, believed, tuple(sections))  # type: ignore[arg-type]
        )
        title = f"split {split.index}"
        task = Task(context.map_stage, title, "map_panes", argument, split, split.length)
        try:
            done = await context.attempts.run(task, whole([split_buffer(split)]), context.made)
        finally:
            split.release()
        made, facts = done.outcome, done.facts
        stored = made.stored(split.index)
        panes = [
            (pane, Mapped(split.index, _of_pane(stored, place, groups), facts["pairs"], facts["pairs_out"]))
            for place, pane in enumerate(facts["panes"])
        ]
        found = MappedSplit(facts["records"], facts["pairs"], panes, latest=facts["latest"])
        for (reason, lines), block in zip(facts["aside"].items(), made.loose, strict=True):
            found.aside.append((reason, lines, await context.store.read(block)))
        made.free_loose()
        return found


def _of_pane(stored: Sequence[Pieces], place: int, groups: int) -> tuple[Pieces, ...]:
    """Of runs whose shares are numbered through all panes, those of one, with its own numbers."""
    found = []
    for pieces in stored:
        mine = [
            (share - place * groups, number)
            for share, number in zip(pieces.shares, pieces.numbers, strict=True)
            if share // groups == place
        ]
        if mine:
            shares, numbers = zip(*mine, strict=True)
            found.append(Pieces(pieces.rank, pieces.block, shares, numbers))
    return tuple(found)
