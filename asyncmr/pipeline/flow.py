"""The way of the data through one step, and the only file that wires its stages.

      splits          runs            runs             partitions        parts
    source ----> mapper ----> combiner ----> shuffler ----> reducer ----> sink
      |            |  ^           |  ^          |             |  ^          |
    disk        worker         worker       block store    worker        commit
                (map,          (merge       (memory,       (merge,
                 combine)       neighbours)  then disk)     reduce)

Each arrow is a bounded channel that carries handles; the bytes move between disk, workers and block store.
A step that only maps goes from the mapper to the sink. A small input takes one task, which maps and reduces
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from asyncmr.actors import Crew, CrewStats, open_channel
from asyncmr.connectors.line_numbers import line_number
from asyncmr.errors import UsageError
from asyncmr.job import Job
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.layout import Layout
from asyncmr.kernel.naming import program_of
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.ranges import RangeLayout
from asyncmr.kernel.reductions import reduction_of
from asyncmr.kernel.sorted_runs import SortedLayout
from asyncmr.pipeline.attempts import Attempts
from asyncmr.pipeline.combiner import Combiner
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.feeding import PrivateBuffers
from asyncmr.pipeline.keeping import keeping
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.legs import Leg
from asyncmr.pipeline.mapper import Mapper, OnlyMapper, SplitMapper
from asyncmr.pipeline.messages import Mapped, Part, Partition, Pieces
from asyncmr.pipeline.reducer import Reducer
from asyncmr.pipeline.resources import Resources
from asyncmr.pipeline.sampler import Sampler
from asyncmr.pipeline.setups import preparation
from asyncmr.pipeline.shelf import Shelf
from asyncmr.pipeline.shuffler import Shuffler
from asyncmr.pipeline.sink import SinkActor
from asyncmr.pipeline.skipping import Skipping
from asyncmr.pipeline.source import SourceActor
from asyncmr.protocols import PartWriter, Sampled, Sink, Source, SourceInfo, Split
from asyncmr.storage.epochs import EpochLog
from asyncmr.workers import Account

# How many handles a channel holds: enough that no stage waits for the loop, few enough to stay a queue. That of a
# partition is of all its runs, and large.
_SPLITS, _RUNS, _PARTITIONS, _PARTS = 2, 256, 2, 8


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all steps of a job have in common."""

    job: Job
    resources: Resources
    account: Account
    log: EpochLog
    ledger: Ledger
    skipping: Skipping


class StepFlow:
    """One leg of a job that runs in workers: its program, its stages, and which way its data goes."""

    def __init__(
        self,
        around: Surroundings,
        leg: Leg,
        source: Source,
        sink: Sink,
        info: SourceInfo,
        following: Leg | None = None,
    ) -> None:
        step, prefix = leg.step, leg.prefix
        resources = around.resources
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
        buckets = limits.buckets(info.bytes, self._partitions * self._shares)

        def layout() -> Layout:
            if step.total_order:
                # Columns take a fraction of the room of a table of the same pairs.
                return RangeLayout(
                    self._partitions, self._shares, resources.hasher, sorted_bytes=4 * limits.bucket
                )
            partitioning = Partitioning(
                self._partitions, shares=self._shares, partitioner=step.partitioner, hasher=resources.hasher
            )
            if in_order:
                return SortedLayout(partitioning, by_key=True)
            return BucketLayout(partitioning, buckets, bucket_bytes=limits.bucket)

        then = None if following is None else (following.step.mapper, f"{following.prefix}map")
        prepared, parts = preparation(resources.programs, around.job, leg, following)
        program = resources.programs.of(
            around.job,
            (prefix, source.decoder, sink.encoder, self._partitions, self._shares, buckets),
            lambda: program_of(
                step.mapper,
                source.decoder,
                encoder=sink.encoder,
                reduction=reduction,
                layout=None if reduction is None else layout(),
                following=then,
                preparation=prepared,
                table_bytes=limits.table,
            ),
            parts=parts,
        )
        attempts = Attempts(
            resources.pool,
            around.account,
            program,
            job=around.job.title,
            tolerance=resources.tolerance,
            trail=around.skipping.trail,
            line_number=partial(line_number, resources.disk),
        )
        self._context = StepContext(
            attempts=attempts,
            store=resources.store,
            sink=sink,
            ledger=around.ledger,
            skipping=around.skipping,
            limits=limits,
            prefix=prefix,
            maps=leg.maps,
            reduces=leg.reduces,
            sorts=in_order,
            shares=self._shares,
            following=None if then is None else then[1],
            keeping=keeping(around.log, resources.store, sink, resources.disk),
        )
        self._combines = reduction is not None and reduction.combines
        self._total = info.bytes
        shuffles = step.shuffles and not self._small
        self._account = limits.account(info.bytes, self._partitions * self._shares) if shuffles else 0
        self._accepted: dict[int, PartWriter] = {}
        self._skipping = around.skipping
        self._crew: Crew | None = None

    def under_way(self) -> Iterator[tuple[str, bool, int]]:
        """Of each task that is not finished: its stage, whether it has a worker, how often it was tried again."""
        return self._context.attempts.under_way()

    def crew(self) -> CrewStats | None:
        """The actors and channels of the step now, if it has any."""
        return None if self._crew is None else self._crew.stats()

    async def run(self) -> None:
        """Runs the step, unless an earlier run of the job had all of its parts: then its input is not even read."""
        keeping = self._context.keeping
        parts = None if keeping is None else await keeping.finished(self._prefix)
        if parts is not None:
            for index, writer in parts.items():
                await self._accept(index, writer)
            return
        memory = self._resources.memory
        aside = memory.try_reserve(self._account)
        try:
            await self._run()
        finally:
            if aside:
                memory.release(self._account)
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
            self._crew = crew
            crew.add(SourceActor(self._source, self._resources.pool.segments).connect(outbox=splits_out))
            if not self._shuffles:
                crew.add(OnlyMapper(self._mapper).connect(inbox=splits_in, outbox=parts_out))
            else:
                mapped_out, mapped_in = open_channel("mapped", _RUNS, Mapped)
                runs_out, runs_in = open_channel("runs", _RUNS, Pieces)
                partitions_out, partitions_in = open_channel("partitions", _PARTITIONS, Partition)
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
                if self._shuffles:
                    self._reducer.advance(len(parts))
                for part in parts:
                    done.add(part.index)
                    await self._accept(part.index, part.writer)
                stored = mapped.stored
        if self._shuffles:
            shelf = Shelf(stored)
            missing = [index for index in range(self._partitions) if index not in done]

            async def one(index: int) -> None:
                part = await self._reducer.reduce(Partition(index, shelf.take, (index,)))
                await self._accept(part.index, part.writer)

            if stored:
                await self._context.spread(self._context.reduce_stage, missing, one)
            else:  # nothing is left for a worker to do
                for index in missing:
                    await one(index)
