"""How the splits of a stream are mapped: as those of a batch job, by the same program, in runs for the key groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from asyncmr.asynchronous import is_async
from asyncmr.batches import batch_kind
from asyncmr.connectors.line_numbers import line_number
from asyncmr.connectors.memory import Collected
from asyncmr.counters import Counts
from asyncmr.errors import MapperError, RecordError, UsageError
from asyncmr.job import Job, Step
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.formats import SlicedPairs
from asyncmr.kernel.naming import runnable_mapper
from asyncmr.kernel.paned import PaneCut, PanedProgram
from asyncmr.kernel.panes import PaneRule
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.program import StepProgram
from asyncmr.kernel.reductions import reduction_of
from asyncmr.kernel.results import ResultEncoder
from asyncmr.pipeline.attempts import Attempts
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.legs import Leg
from asyncmr.pipeline.mapper import SplitMapper
from asyncmr.pipeline.messages import Pieces
from asyncmr.pipeline.resources import Resources
from asyncmr.pipeline.setups import preparation
from asyncmr.pipeline.skipping import Skipping
from asyncmr.protocols import Decoder, Split
from asyncmr.storage.block import Block
from asyncmr.streaming.cold_rows import ColdRows
from asyncmr.streaming.failed import FAILED, Failed, failed_lines
from asyncmr.workers import Account, Program

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


def key_groups(job: Job) -> int:
    """How many parts the state of a job has."""
    return streamable(job).partitions or KEY_GROUPS


@dataclass(slots=True)
class MappedSplit:
    """What became of a split: how many records it had and how many pairs they made, and the runs of each pane. `aside`:
    why lines are in none, how many, and they; `failed`: those among them on which the mapper failed. `latest`: the
    latest time in each of its sections, in milliseconds since 1970. `counts`: the user's counters."""

    records: int
    pairs: int
    panes: list[tuple[int, tuple[Pieces, ...]]]
    aside: list[tuple[str, int, bytes]] = field(default_factory=list)
    failed: Failed | None = None
    latest: list[int | None] = field(default_factory=list)
    counts: Counts = field(default_factory=dict)


class StreamMapper:
    """Maps the splits of a stream, whose `partitioning` are its key groups. `program` keeps its state, and gives
    results as `encoders` have them. `rule`: how lines are divided by their time, if they are."""

    def __init__(
        self,
        job: Job,
        resources: Resources,
        decoder: Decoder,
        encoders: tuple[ResultEncoder, ...],
        rule: PaneRule | None = None,
    ) -> None:
        step = streamable(job)
        limits = resources.limits
        mapper = runnable_mapper(step.mapper, decoder, limits.room(resources.pool.workers))
        leg = Leg(replace(step, mapper=mapper), "")
        self.partitioning = Partitioning(key_groups(job), hasher=resources.hasher)
        prepared, parts = preparation(resources.programs, job, leg, None)
        made: Callable[..., StepProgram] = StepProgram
        if rule is not None:
            made = partial(PanedProgram, rule=rule, shares=self.partitioning.partitions)

        def program(verify: float) -> Program:
            return resources.programs.of(
                job,
                ("stream", decoder, encoders, rule, verify),
                lambda: made(
                    mapper=mapper,
                    decoder=decoder,
                    encoder=SlicedPairs(),
                    reduction=reduction_of(step, verify),
                    layout=BucketLayout(self.partitioning, 1, bucket_bytes=limits.bucket),
                    preparation=prepared,
                    table_bytes=limits.table,
                    results=encoders,
                    cold=ColdRows,
                ),
                parts=parts,
            )

        # What is put aside to be verified has no place in tables that are kept for ever.
        self.program = program(0.0)
        self.title = job.title
        self._resources = resources
        ledger = Ledger(job.title)
        skipping = self._skipping(ledger)
        self._context = StepContext(
            attempts=Attempts(
                resources.pool,
                Account(job.title),
                program(resources.verify),
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

    async def map(self, split: Split, pane: int | PaneCut) -> MappedSplit:
        """Maps a split, all of which belongs to one pane, or which is divided as it says.

        The books of a batch job are kept for each split alone: those of a stream would never be closed.
        """
        if isinstance(pane, PaneCut):
            split = _PanedSplit(split.index, split.length, split.data, split.buffer, split.pieces, cut=pane)
        ledger = Ledger(self.title)
        context = replace(self._context, ledger=ledger, skipping=self._skipping(ledger))
        mapper = SplitMapper(context, shuffles=True, combines=True, total=None)
        try:
            done = await mapper.committed(split)
            failed = await self._failed(split, [block for _, block in done.outcome.skipped])
        except (MapperError, RecordError) as error:
            if not self._resources.tolerance.skips:
                error.add_note('on_error="skip" sets such lines aside, and the stream goes on')
            raise
        finally:
            split.release()
        made, facts = done.outcome, done.facts
        stored = made.stored(split.index)
        if isinstance(pane, PaneCut):
            panes = _by_pane(stored, facts["panes"], self.partitioning.partitions)
        else:
            panes = [(pane, stored)]
        found = MappedSplit(facts["records"], facts["pairs"], panes, failed=failed, counts=done.counts)
        found.latest = facts.get("latest", [])
        for reason, block in made.aside:
            found.aside.append((reason, facts["aside"][reason], await context.store.read(block)))
            context.store.free(block)
        if failed is not None:
            found.aside.append((FAILED, failed.number, failed.lines))
        return found

    async def _failed(self, split: Split, told: list[Block]) -> Failed | None:
        """The lines that were left out of a split, from what its task told of them."""
        if not told:
            return None
        store = self._context.store
        data = split.data if split.buffer is None else bytes(split.buffer.view[: split.length])
        blocks = [await store.read(block) for block in told]
        for block in told:
            store.free(block)
        return await self._resources.disk.run(failed_lines, data, blocks, split.pieces)

    def _skipping(self, ledger: Ledger) -> Skipping:
        resources = self._resources
        return Skipping(
            ledger, resources.store, resources.disk, resources.trails, resources.tolerance, letters=False
        )


@dataclass(slots=True)
class _PanedSplit(Split):
    """A split whose lines are divided by their time."""

    cut: PaneCut = field(default_factory=PaneCut)

    def task(self, method: str, argument: Any) -> tuple[str, Any]:
        return "paned", (tuple(self.cut), method, argument)


def _by_pane(
    stored: Sequence[Pieces], panes: Sequence[int], groups: int
) -> list[tuple[int, tuple[Pieces, ...]]]:
    """The runs of each pane, with their own numbers of shares; they are numbered through all panes."""
    of: list[list[Pieces]] = [[] for _ in panes]
    for pieces in stored:
        place = pieces.shares[0] // groups
        shares = [share - place * groups for share in pieces.shares]
        of[place].append(Pieces(pieces.rank, pieces.block, shares, pieces.numbers))
    return [(pane, tuple(some)) for pane, some in zip(panes, of, strict=True)]
