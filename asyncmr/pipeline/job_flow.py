"""A job from its source to its sink: its steps, one after the other.

The parts of one step wait in the block store until the next step maps them: a step boundary is the one place where
everything is there before anything goes on. A next step that only maps needs no boundary: it runs where the results
are made. A total order begins with a look at a sample of the source; a source that cannot be looked at is
stored first, by a step that changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anyio import CancelScope

from asyncmr.asynchronous import is_async
from asyncmr.batches import batch_kind
from asyncmr.connectors.dead_letters import DeadLetters
from asyncmr.connectors.journaled_parts import JournaledParts
from asyncmr.connectors.named import NamedSources
from asyncmr.errors import OutputError, SkipLimitError
from asyncmr.job import Job, Step
from asyncmr.kernel.formats import SlicedPairs
from asyncmr.kernel.naming import runnable_mapper
from asyncmr.kernel.passing import passed
from asyncmr.pipeline.fingerprint import fingerprint
from asyncmr.pipeline.flow import StepFlow, Surroundings
from asyncmr.pipeline.gauges import Gauges
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.legs import Leg, legs_of
from asyncmr.pipeline.publication import Publication
from asyncmr.pipeline.resources import Resources
from asyncmr.pipeline.resuming import begun, ended
from asyncmr.pipeline.skipping import Skipping
from asyncmr.pipeline.stored import StoredParts
from asyncmr.progress import JobState, Progress
from asyncmr.protocols import Sink, Source, SourceInfo
from asyncmr.report import Report
from asyncmr.storage.durable_log import DurableLog
from asyncmr.storage.epochs import EpochLog
from asyncmr.workers import Account

if TYPE_CHECKING:
    from asyncmr.pipeline.awaiting import AwaitingFlow


class JobFlow:
    """One job. Its `run` goes inside `output`."""

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
        self._publication = Publication(sink, letters, resources.disk, resources.journal)
        self._log = EpochLog() if resources.journal is None else DurableLog(resources.journal, resources.disk)
        self._finished: Report | None = None
        self._leg: StepFlow | AwaitingFlow | None = None
        self._gauges: Gauges | None = None
        self.committing = False
        self.ledger = Ledger(job.title, self._log)
        self._skipping = Skipping(
            self.ledger,
            resources.store,
            resources.disk,
            resources.trails,
            resources.tolerance,
            letters=letters is not None,
        )
        self._surroundings = Surroundings(
            job, resources, Account(job.title), self._log, self.ledger, self._skipping
        )

    @asynccontextmanager
    async def output(self) -> AsyncIterator[None]:
        """Looks at the source and opens the sink; at the end commits it. On failure or cancellation it shows nothing.

        Whatever a job has to clean up belongs inside: a cancellation that came between the commit and its caller
        would leave an output that nobody was told of.
        """
        disk, journal, publication = self._resources.disk, self._resources.journal, self._publication
        self._steps = self._runnable()
        self._info = await self._source.prepare(disk)
        self._finished = await self._begin()
        if self._finished is not None:
            yield
            return
        await publication.open()
        try:
            yield
            self.committing = True
            await publication.commit()
        except BaseException as error:
            with CancelScope(shield=True):
                try:
                    await publication.abort()
                except OutputError as second:
                    error.add_note(f"afterwards the output was not removed: {second}")
            raise
        if journal is not None:
            await ended(journal, disk, self.report())

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
            letters=self._publication.letters is not None,
        )
        report = await begun(journal, resources.disk, identity, self._sink)
        if report is None and isinstance(self._log, DurableLog):
            await self._log.load()
            self.ledger.take_over()
        return report

    async def run(self) -> None:
        """Runs all steps."""
        if self._finished is not None:
            return
        letters = self._publication.letters
        try:
            await self._run_steps()
        except SkipLimitError:
            if letters is not None:
                await self._skipping.tell(letters)
                await self._publication.show_letters()
            raise
        self._skipped = await self._skipping.tell(letters)

    async def _run_steps(self) -> None:
        steps = self._steps
        source, info = self._source, self._info
        if not self._resources.limits.is_small(info):
            await self._set_aside(steps)
        left = legs_of(steps)
        if isinstance(source, NamedSources):
            left[0] = await self._awaited(source, left[0])
            info = source.info
        while left:
            leg = left.pop(0)
            following = None
            small = self._resources.limits.is_small(info)
            # A step that only maps runs on the results of the reducers before it, in their workers; but after
            # a small step, whose one worker would then do all of it, however long it takes.
            if left and leg.step.shuffles and not leg.awaits and not small and left[0].maps_pairs:
                following = left.pop(0)
            sink: Any = self._parts_for(left[0]) if left else self._sink
            if leg.awaits is not None:
                from asyncmr.pipeline.awaiting import AwaitingFlow  # no other job needs it

                self._leg = AwaitingFlow(self._surroundings, leg, source, sink, info)
            else:
                if leg.step.total_order and not info.sampled and not small:
                    source, info = await self._sampleable(source, info, leg)
                self._leg = StepFlow(self._surroundings, leg, source, sink, info, following)
            await self._leg.run()
            await self._skipping.check_share()
            if left:
                source, info = sink, await sink.prepare(self._resources.disk)

    def progress(self, state: JobState, seconds: float) -> Progress:
        """How the job is now. `state`, `seconds`: as its engine has them."""
        if self._gauges is None:
            around = self._surroundings
            self._gauges = Gauges(self.ledger, self._log, self._resources, around.account)
        leg = self._leg
        if leg is None:
            return self._gauges.read(state, seconds, (), None)
        return self._gauges.read(state, seconds, leg.under_way(), leg.crew())

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
            mapper = runnable_mapper(step.mapper, decoder, room)
            steps.append(step if mapper is step.mapper else replace(step, mapper=mapper))
            decoder = StoredParts.decoder
        return steps

    async def _set_aside(self, steps: Sequence[Step]) -> None:
        """Takes the memory that functions of these steps say that they need; it is given back when the job ends."""
        mappers = [mapper for step in steps for mapper in step.mappers]
        kinds = [kind for mapper in mappers if (kind := batch_kind(mapper)) is not None]
        if size := max((kind.memory for kind in kinds), default=0):
            await self._resources.memory.reserve(size * self._resources.pool.workers)

    async def _awaited(self, source: NamedSources, leg: Leg) -> Leg:
        """Runs the async ones of several mappers, each over its source, whose place is taken by what they make; and
        gives the leg that is left to do."""
        mappers = dict(zip(source.names, leg.step.mappers, strict=True))
        if not any(map(is_async, mappers.values())):
            return leg
        for name, one, info in source.each():
            if is_async(mappers[name]):
                before = Leg(replace(leg.step, mapper=mappers[name]), f"{leg.prefix}{name}.", awaits="mapper")
                from asyncmr.pipeline.awaiting import AwaitingFlow

                stored = self._parts_for(leg)
                self._leg = AwaitingFlow(self._surroundings, before, one, stored, info)
                await self._leg.run()
                await source.put(name, stored, self._resources.disk)
                mappers[name] = passed
        return replace(leg, step=replace(leg.step, mapper=mappers))

    async def _sampleable(self, source: Source, info: SourceInfo, leg: Leg) -> tuple[Source, SourceInfo]:
        """The records of a source that cannot be sampled, as they are, in one that can."""
        disk = self._resources.disk
        if not isinstance(source, NamedSources):
            stored = await self._stored(source, info, leg, f"{leg.prefix}store.")
            return stored, await stored.prepare(disk)
        for name, one, its_info in source.each():
            if not its_info.sampled:
                stored = await self._stored(one, its_info, leg, f"{leg.prefix}store.{name}.")
                await source.put(name, stored, disk)
        return source, source.info

    async def _stored(self, source: Source, info: SourceInfo, leg: Leg, prefix: str) -> StoredParts:
        stored = self._parts_for(leg)
        (storing,) = Job(mapper=passed, name=leg.step.name).steps
        self._leg = StepFlow(self._surroundings, Leg(storing, prefix), source, stored, info)
        await self._leg.run()
        return stored

    def _parts_for(self, leg: Leg) -> StoredParts:
        """Where that waits which a leg begins with; what the event loop decodes is in blocks of few pairs."""
        encoder = None if leg.awaits is None else SlicedPairs()
        return StoredParts(self._resources.store, self._resources.limits.split, encoder)
