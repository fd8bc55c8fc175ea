"""The way of a job's data, and the only file that wires its stages.

      splits          runs            runs             partitions        parts
    source ----> mapper ----> combiner ----> shuffler ----> reducer ----> sink
      |            |  ^           |  ^          |             |  ^          |
    disk        worker         worker       block store    worker        commit
                (map,          (merge       (memory,       (merge,
                 combine)       neighbours)  then disk)     reduce)

Each arrow is a bounded channel that carries handles; the bytes move between disk, workers and block store.
A step that only maps goes from the mapper to the sink. A small input takes one task, which maps and reduces
it. In a chain the parts of one step wait in the block store until the next step maps them: a step boundary
is the one place where everything is there before anything goes on. A next step that only maps needs no boundary: it
runs where the results are made. A total order begins with a look at a sample of
the source; a source that cannot be looked at is stored first, by a step that changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from anyio import CancelScope

from asyncmr.actors import Crew, open_channel
from asyncmr.batches import batch_kind
from asyncmr.connectors.dead_letters import DeadLetters
from asyncmr.connectors.journaled_parts import JournaledParts
from asyncmr.connectors.text import line_number
from asyncmr.errors import OutputError, SkipLimitError, UsageError
from asyncmr.job import Job, PartWriter, Sampled, Sink, Source, SourceInfo, Split, Step
from asyncmr.kernel.batching import mapper_for
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.layout import Layout
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.passing import passed
from asyncmr.kernel.program import StepProgram
from asyncmr.kernel.ranges import RangeLayout
from asyncmr.kernel.reductions import reduction_of
from asyncmr.kernel.sorted_runs import SortedLayout
from asyncmr.pipeline.attempts import Attempts
from asyncmr.pipeline.combiner import Combiner
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.feeding import PrivateBuffers
from asyncmr.pipeline.fingerprint import fingerprint
from asyncmr.pipeline.keeping import keeping
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.limits import Limits
from asyncmr.pipeline.mapper import Mapper, OnlyMapper, SplitMapper
from asyncmr.pipeline.messages import Mapped, Part, Partition, Pieces
from asyncmr.pipeline.programs import Programs
from asyncmr.pipeline.reducer import Reducer
from asyncmr.pipeline.resuming import begun, ended
from asyncmr.pipeline.sampler import Sampler
from asyncmr.pipeline.shelf import Shelf
from asyncmr.pipeline.shuffler import Shuffler
from asyncmr.pipeline.sink import SinkActor
from asyncmr.pipeline.skipping import Skipping
from asyncmr.pipeline.source import SourceActor
from asyncmr.pipeline.stored import StoredParts
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.pipeline.trails import Trails
from asyncmr.report import Report
from asyncmr.storage.budget import JobBudget
from asyncmr.storage.compression import Codec
from asyncmr.storage.disk import Disk
from asyncmr.storage.durable_log import DurableLog
from asyncmr.storage.epochs import EpochLog
from asyncmr.storage.journal import Journal
from asyncmr.storage.runs import BlockStore
from asyncmr.workers import Account, Pool

# How many handles a channel holds: enough that no stage waits for the loop, few enough to stay a queue.
_SPLITS, _RUNS, _PARTS = 2, 256, 8
# Under this name the journal has that the dead letters are about to be visible.
_LETTERS = "letters"


@dataclass(frozen=True, slots=True)
class Resources:
    """What an engine lends to a job. `verify`: the share of the keys on which its operators are checked."""

    pool: Pool
    disk: Disk
    store: BlockStore
    memory: JobBudget
    limits: Limits
    hasher: KeyHasher
    tolerance: Tolerance
    programs: Programs
    trails: Trails
    verify: float = 0.0
    codec: Codec | None = None
    journal: Journal | None = None


class Flow:
    """One job from its source to its sink."""

    def __init__(
        self,
        job: Job,
        source: Source,
        sink: Sink,
        resources: Resources,
        letters: DeadLetters | None = None,
    ) -> None:
        self._job = job
        self._source = source
        self._sink = sink
        self._resources = resources
        self._account = Account(job.title)
        self._letters = letters
        self._log = EpochLog() if resources.journal is None else DurableLog(resources.journal, resources.disk)
        self._finished: Report | None = None
        self.ledger = Ledger(job.title, self._log)
        self.skipping = Skipping(
            self.ledger,
            resources.store,
            resources.disk,
            resources.trails,
            resources.tolerance,
            letters=letters is not None,
        )

    @asynccontextmanager
    async def output(self) -> AsyncIterator[None]:
        """Looks at the source and opens the sink; at the end commits it. On failure or cancellation it shows nothing.

        Dead letters are shown with it, and also if they are too many. Whatever a job has to clean up belongs inside: a
        cancellation that came between the commit and its caller would leave an output that nobody was told of.
        """
        self._steps = self._runnable()
        disk, letters = self._resources.disk, self._letters
        try:
            if letters is not None:
                await letters.open(disk, replace=self._published_letters)
            self._info = await self._source.prepare(disk)
            self._finished = await self._begin()
            if self._finished is not None:
                yield
                return
            await self._sink.open(disk)
            try:
                yield
                await self._commit()
            except BaseException as error:
                with CancelScope(shield=True):
                    try:
                        await self._sink.abort()
                    except OutputError as second:
                        error.add_note(f"afterwards the output was not removed: {second}")
                raise
        finally:
            if letters is not None:
                with CancelScope(shield=True):
                    await letters.close()
        if self._resources.journal is not None:
            await ended(self._resources.journal, disk, self.report())

    @property
    def _published_letters(self) -> bool:
        """Whether an earlier run of the job may have left its dead letters."""
        journal = self._resources.journal
        return journal is not None and bool(journal.noted(_LETTERS))

    async def _commit(self) -> None:
        """Shows the dead letters and the output, or neither."""
        if self._letters is None:
            await self._sink.commit()
            return
        try:
            await self._publish_letters()
            await self._sink.commit()
        except BaseException:
            with CancelScope(shield=True):
                await self._letters.withdraw()
            raise

    async def _publish_letters(self) -> None:
        if self._letters is None:
            return
        if self._resources.journal is not None:
            await self._resources.disk.run(partial(self._resources.journal.note, **{_LETTERS: "yes"}))
        await self._letters.publish()

    async def _begin(self) -> Report | None:
        """Goes on with the journal, if there is one; the report, if the job was finished before."""
        resources, journal = self._resources, self._resources.journal
        if journal is None or not isinstance(self._sink, JournaledParts):
            return None
        identity = fingerprint(
            self._job,
            self._source,
            self._sink,
            limits=resources.limits,
            hasher=resources.hasher,
            codec=resources.codec,
            skips=resources.tolerance.skips,
            letters=self._letters is not None,
        )
        report = await begun(journal, resources.disk, identity, self._sink)
        if report is None and isinstance(self._log, DurableLog):
            await self._log.load()
            self.ledger.take_over()
        return report

    async def run(self) -> None:
        """Runs all steps, inside `output`."""
        letters = self._letters
        if self._finished is not None:
            return
        try:
            await self._run_steps()
        except SkipLimitError:
            if letters is not None:
                await self.skipping.tell(letters)
                await self._publish_letters()
            raise
        self._skipped = await self.skipping.tell(letters)

    async def _run_steps(self) -> None:
        steps = self._steps
        source, info = self._source, self._info
        if not self._resources.limits.is_small(info):
            await self._set_aside(steps)
        prefixes = [f"{number}." if len(steps) > 1 else "" for number in range(1, len(steps) + 1)]
        left = list(zip(steps, prefixes, strict=True))
        while left:
            step, prefix = left.pop(0)
            following = None
            small = self._resources.limits.is_small(info)
            # A step that only maps runs on the results of the reducers before it, in their workers; but after
            # a small step, whose one worker would then do all of it, however long it takes.
            if left and step.shuffles and not small and _maps_pairs(left[0][0]):
                following = left.pop(0)
            sink: Any = StoredParts(self._resources.store, self._resources.limits.split)
            if not left:
                sink = self._sink
            if step.total_order and not info.sampled and not small:
                source, info = await self._stored(source, info, step, prefix)
            await _StepFlow(self, step, prefix, source, sink, info, following).run()
            await self.skipping.check_share()
            if left:
                source, info = sink, await sink.prepare(self._resources.disk)

    def report(self) -> Report:
        """What the job did."""
        if self._finished is not None:
            return self._finished
        report = self.ledger.report(bytes_spilled=self._resources.store.stats().spilled_bytes_total)
        report.skipped = self._skipped
        return report

    def _runnable(self) -> list[Step]:
        """The steps, each with the mapper that can run; known now, and not when its turn comes after all the others."""
        room = self._resources.limits.room(self._resources.pool.workers)
        steps = []
        decoder = self._source.decoder
        for step in self._job.steps:
            mapper = mapper_for(step.mapper, decoder, room)
            steps.append(step if mapper is step.mapper else replace(step, mapper=mapper))
            decoder = StoredParts.decoder
        return steps

    async def _set_aside(self, steps: Sequence[Step]) -> None:
        """Takes the memory that functions of these steps say that they need; it is given back when the job ends."""
        kinds = [kind for step in steps if (kind := batch_kind(step.mapper)) is not None]
        if size := max((kind.memory for kind in kinds), default=0):
            await self._resources.memory.reserve(size * self._resources.pool.workers)

    async def _stored(
        self, source: Source, info: SourceInfo, step: Step, prefix: str
    ) -> tuple[StoredParts, SourceInfo]:
        """The records of a source that cannot be sampled, as they are."""
        stored = StoredParts(self._resources.store, self._resources.limits.split)
        (storing,) = Job(mapper=passed, name=step.name).steps
        await _StepFlow(self, storing, f"{prefix}store.", source, stored, info).run()
        return stored, await stored.prepare(self._resources.disk)


def _maps_pairs(step: Step) -> bool:
    """Whether a step only maps, and one pair at a time."""
    return not step.shuffles and batch_kind(step.mapper) is None


class _StepFlow:
    """One step: its program, its stages, and which way its data goes."""

    def __init__(
        self,
        flow: Flow,
        step: Step,
        prefix: str,
        source: Source,
        sink: Sink,
        info: SourceInfo,
        following: tuple[Step, str] | None = None,
    ) -> None:
        resources = flow._resources
        self._resources = resources
        self._source = source
        self._sink = sink
        self._shuffles = step.shuffles
        self._small = resources.limits.is_small(info)
        self._total_order = step.total_order
        self._prefix = prefix
        reduction = reduction_of(step, resources.verify)
        self._partitions = step.partitions or resources.limits.partitions(info.bytes)
        limits = resources.limits
        in_order = step.sort is True
        self._shares = 1 if in_order or self._small else limits.shares(info.bytes, self._partitions)
        partitioning = Partitioning(
            self._partitions, shares=self._shares, partitioner=step.partitioner, hasher=resources.hasher
        )
        buckets = limits.buckets(info.bytes, self._partitions * self._shares)
        layout: Layout = BucketLayout(partitioning, buckets, bucket_bytes=limits.bucket)
        if in_order:
            layout = SortedLayout(partitioning, by_key=True)
        elif step.total_order:
            # Columns take a fraction of the room of a table of the same pairs.
            layout = RangeLayout(
                self._partitions, self._shares, resources.hasher, sorted_bytes=4 * limits.bucket
            )
        then = None if following is None else (following[0].mapper, f"{following[1]}map")
        program = resources.programs.of(
            flow._job,
            (prefix, source.decoder, sink.encoder, self._partitions, self._shares, buckets),
            lambda: StepProgram(
                mapper=step.mapper,
                decoder=source.decoder,
                encoder=sink.encoder,
                reduction=reduction,
                layout=None if reduction is None else layout,
                following=then,
                table_bytes=limits.table,
            ),
        )
        attempts = Attempts(
            resources.pool,
            flow._account,
            program,
            job=flow._job.title,
            tolerance=resources.tolerance,
            trail=flow.skipping.trail,
            line_number=partial(line_number, resources.disk),
        )
        self._context = StepContext(
            attempts,
            resources.store,
            sink,
            flow.ledger,
            flow.skipping,
            limits,
            prefix,
            sorts=in_order,
            shares=self._shares,
            following=None if then is None else then[1],
            keeping=keeping(flow._log, resources.store, sink, resources.disk),
        )
        self._combines = reduction is not None and reduction.combines
        self._total = info.bytes
        self._accepted: dict[int, PartWriter] = {}
        self._skipping = flow.skipping

    async def run(self) -> None:
        """Runs the step, unless an earlier run of the job had all of its parts: then its input is not even read."""
        keeping = self._context.keeping
        parts = None if keeping is None else await keeping.finished(self._prefix)
        if parts is not None:
            for index, writer in parts.items():
                await self._accept(index, writer)
            return
        await self._run()
        if keeping is not None and not self._skipping.total:  # what was skipped is told by its tasks
            await keeping.finish(self._prefix, self._accepted)

    async def _accept(self, index: int, writer: PartWriter) -> None:
        self._accepted[index] = writer
        await self._sink.accept(index, writer)

    async def _run(self) -> None:
        context, combines = self._context, self._combines
        if self._total_order and not self._small:
            assert isinstance(self._source, Sampled)
            samples = self._source.samples(self._resources.pool.segments)
            context = replace(context, bounds=await Sampler(context).bounds(samples, self._partitions))
        self._mapper = SplitMapper(context, shuffles=self._shuffles, combines=combines, total=self._total)
        self._combiner = Combiner(context, combines=combines)
        self._reducer = Reducer(context, self._partitions)
        if self._small:
            await self._run_small()
        else:
            await self._run_stages()

    async def _run_stages(self) -> None:
        splits_out, splits_in = open_channel("splits", _SPLITS, Split, dropped=Split.release)
        parts_out, parts_in = open_channel("parts", _PARTS, Part)
        async with Crew() as crew:
            crew.add(SourceActor(self._source, self._resources.pool.segments).connect(outbox=splits_out))
            if not self._shuffles:
                crew.add(OnlyMapper(self._mapper).connect(inbox=splits_in, outbox=parts_out))
            else:
                mapped_out, mapped_in = open_channel("mapped", _RUNS, Mapped)
                runs_out, runs_in = open_channel("runs", _RUNS, Pieces)
                partitions_out, partitions_in = open_channel("partitions", _PARTS, Partition)
                crew.add(Mapper(self._mapper).connect(inbox=splits_in, outbox=mapped_out))
                crew.add(self._combiner.connect(inbox=mapped_in, outbox=runs_out))
                crew.add(
                    Shuffler(self._partitions, self._shares).connect(inbox=runs_in, outbox=partitions_out)
                )
                crew.add(self._reducer.connect(inbox=partitions_in, outbox=parts_out))
            crew.add(SinkActor(self._sink, self._accepted).connect(inbox=parts_in))

    async def _run_small(self) -> None:
        """One task for the whole input; what it left unreduced, because that takes long, goes to all workers."""
        stored: tuple[Pieces, ...] = ()
        done: set[int] = set()
        async with aclosing(self._source.splits(PrivateBuffers())) as splits:
            split = await anext(splits, None)
            if split is not None:
                following = await anext(splits, None)
                if following is not None:
                    raise UsageError(
                        f"{type(self._source).__name__} gave more than one split of its small input; "
                        "its prepare() should say SourceInfo(..., divided=True)"
                    )
                mapped, parts = await self._mapper.map(split, fused=True)
                for part in parts:
                    done.add(part.index)
                    await self._accept(part.index, part.writer)
                stored = mapped.stored
        if self._shuffles:
            shelf = Shelf(stored)
            missing = [index for index in range(self._partitions) if index not in done]

            async def one(index: int) -> None:
                part = await self._reducer.reduce(Partition(index, (shelf.take(index),)))
                await self._accept(part.index, part.writer)

            if stored:
                await self._context.spread(f"{self._prefix}reduce", missing, one)
            else:  # nothing is left for a worker to do
                for index in missing:
                    await one(index)
