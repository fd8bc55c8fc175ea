"""The way of the data through an async function, on the event loop.

      portions        calls         parts
    reader ----> caller ----> collector ----> sink
      |             |             |
    disk         the user's    encoded,
    (decoded)    coroutines    commit

The caller begins calls and the collector takes them, in the same order, so that the pairs lie in the order of the
input whichever call ends first. No worker is held meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from functools import partial
from typing import Any

from anyio import CancelScope

from asyncmr.actors import Actor, Crew, CrewStats, open_channel
from asyncmr.connectors.line_numbers import line_number
from asyncmr.counters import Counts
from asyncmr.kernel.leftout import Enough
from asyncmr.kernel.unparsed import unparsed
from asyncmr.pipeline.attempts import Done, Tries
from asyncmr.pipeline.call_errors import CallErrors
from asyncmr.pipeline.calls import WINDOW_BYTES, Calls
from asyncmr.pipeline.context import TaskContext
from asyncmr.pipeline.flow import Surroundings
from asyncmr.pipeline.groups import GroupReader
from asyncmr.pipeline.keeping import keeping
from asyncmr.pipeline.legs import Leg
from asyncmr.pipeline.made import Made, merged_counts
from asyncmr.pipeline.messages import HANDLE, Part
from asyncmr.pipeline.pair_writer import NotEncodable, PairWriter
from asyncmr.pipeline.portions import Portion, PortionReader
from asyncmr.pipeline.setups import prepared
from asyncmr.pipeline.sink import SinkActor
from asyncmr.pipeline.stored import StoredParts
from asyncmr.protocols import PartWriter, Sink, Source, SourceInfo

# Portions that are read ahead of the calls, and parts on their way to the sink.
_AHEAD, _PARTS = 1, 8


class Caller(Actor[Portion, Portion]):
    """Calls the function for each record of a portion, unless an earlier run of the job has committed it."""

    def __init__(self, context: TaskContext, stage: str, calls: Calls) -> None:
        super().__init__("caller")
        self._context = context
        self._stage = stage
        self._calls = calls

    async def handle(self, item: Portion) -> None:
        self._context.ledger.begin(self._stage)
        item.done = await self._context.taken(self._stage, item.number, item.basis, item.pieces)
        await self.emit(item, HANDLE)
        if item.done is None:
            async with aclosing(item.records()) as records:
                async for record in records:
                    await self._calls.begin(record)
            self._calls.mark()


class Collector(Actor[Portion, Part]):
    """Makes a part of the pairs of each portion, and commits it."""

    def __init__(
        self, context: TaskContext, stage: str, calls: Calls, errors: CallErrors, total: int | None, unit: str
    ) -> None:
        super().__init__("collector")
        self._context = context
        self._stage = stage
        self._calls = calls
        self._errors = errors
        self._total = total
        self._unit = unit

    async def handle(self, item: Portion) -> None:
        self._advance(0)
        done = item.done
        if done is None:
            done = await self._collected(item)
            skipped = await self._context.skip(item.number, done, item.pieces)
            facts = item.figures() | {
                "bytes_in": item.size,
                "pairs_out": done.facts["pairs_out"],
                "bytes_out": done.outcome.bytes_out,
                "skipped": sum(skipped.values()),
            }
            await self._context.commit(self._stage, item.number, done, beside=None, basis=item.basis, **facts)
        elif self._unit == "B":
            self._advance(item.size)
        if self._unit == "partitions":
            self._advance(1)
        item.release()
        await self.emit(Part(item.number, done.outcome.parts[item.number]), HANDLE)

    async def _collected(self, portion: Portion) -> Done[Made]:
        made = self._context.made(attempt=1)
        try:
            done = await self._take(portion, made)
            await made.close()
        except BaseException:
            with CancelScope(shield=True):
                await made.discard()
            raise
        return done

    async def _take(self, portion: Portion, made: Made) -> Done[Made]:
        await made.part(portion.number)  # also if it gets no pairs
        writer = PairWriter(made, portion.number, self._context.sink.encoder)
        left_out = self._context.skipping.left_out()
        counts: list[Counts] = []
        again = taken = 0
        try:
            while (call := await self._calls.take()) is not None:
                taken += 1
                self._advance(portion.reached(taken) - portion.reached(taken - 1))
                again += call.repeats
                if call.record.faults:
                    raise call.record.faults[0]
                if call.is_final:
                    raise await self._errors.raised(call) from call.error
                if call.error is not None:
                    self._errors.leave_out(call, left_out)
                    continue
                counts.append(call.counts)
                await writer.add(call.pairs, call.size)
            await writer.finish()
        except NotEncodable as found:
            raise await self._errors.not_encodable(found) from found.__cause__
        except Enough:
            pass  # to take over what was left out then raises
        await made.take(list(left_out.told()))
        facts: dict[str, Any] = {"pairs_out": writer.pairs, "skipped": left_out.counts}
        return Done(made, facts, merged_counts(*counts), Tries(1 + again))

    def _advance(self, done: int) -> None:
        self._context.ledger.advance(self._stage, done, self._total, self._unit)


class AwaitingFlow:
    """One leg of a job that runs on the event loop: the calls of an async mapper or reducer."""

    def __init__(self, around: Surroundings, leg: Leg, source: Source, sink: Sink, info: SourceInfo) -> None:
        resources, step = around.resources, leg.step
        mapper = leg.awaits == "mapper"
        role = "mapper" if mapper else "reducer"
        self._memory = resources.memory
        self._aside = WINDOW_BYTES + resources.limits.split
        self._sink = sink
        self._prefix = f"{leg.prefix}{role}."
        self._accepted: dict[int, PartWriter] = {}
        self._skipping = around.skipping
        self._context = context = TaskContext(
            store=resources.store,
            sink=sink,
            ledger=around.ledger,
            skipping=around.skipping,
            prefix=leg.prefix,
            keeping=keeping(around.log, resources.store, sink, resources.disk),
        )
        function: Any
        function, decoder = (
            unparsed(step.mapper, source.decoder) if mapper else (step.reducer, source.decoder)
        )
        stage = context.map_stage if mapper else context.reduce_stage
        self._prepared = partial(prepared, around.job, step, stage)
        self._calls = calls = Calls(
            function,
            role,
            concurrency=step.concurrency,
            tolerance=resources.tolerance,
            hashes=mapper and step.reduces,
        )
        errors = CallErrors(
            calls.name,
            role,
            job=around.job.title,
            stage=stage,
            limit=resources.tolerance.task_timeout,
            line_number=partial(line_number, resources.disk),
        )
        self._reader: Actor[None, Portion]
        if mapper:
            self._reader = PortionReader(source, decoder, context)
            total, unit = info.bytes, "B"
        else:
            assert isinstance(source, StoredParts)
            self._reader = GroupReader(source, resources.store)
            total, unit = len(list(source.parts())), "partitions"
        self._caller = Caller(context, stage, calls)
        self._collector = Collector(context, stage, calls, errors, total, unit)
        self._stage = stage
        self._crew: Crew | None = None

    def under_way(self) -> Iterator[tuple[str, bool, int]]:
        """Of each call that runs, what `StepFlow` tells of tasks."""
        return ((self._stage, True, call.repeats) for call in self._calls.under_way())

    def crew(self) -> CrewStats | None:
        """The actors and channels of the leg now, if it has any."""
        return None if self._crew is None else self._crew.stats()

    async def run(self) -> None:
        """Runs the leg, unless an earlier run of the job had all of its parts."""
        keeping = self._context.keeping
        parts = None if keeping is None else await keeping.finished(self._prefix)
        if parts is not None:
            for index, writer in parts.items():
                await self._sink.accept(index, writer)
            return
        aside = self._memory.try_reserve(self._aside)
        try:
            async with self._prepared():
                await self._run()
        finally:
            if aside:
                self._memory.release(self._aside)
        if keeping is not None and not self._skipping.total:  # what was skipped is told by its tasks
            await keeping.finish(self._prefix, self._accepted)

    async def _run(self) -> None:
        portions_out, portions_in = open_channel("portions", _AHEAD, Portion)
        # As many as there can be calls in line, since a portion may be one record.
        begun_out, begun_in = open_channel("begun", self._calls.most, Portion)
        parts_out, parts_in = open_channel("parts", _PARTS, Part)
        async with self._calls, Crew() as crew:
            self._crew = crew
            crew.add(self._reader.connect(outbox=portions_out))
            crew.add(self._caller.connect(inbox=portions_in, outbox=begun_out))
            crew.add(self._collector.connect(inbox=begun_in, outbox=parts_out))
            crew.add(SinkActor(self._sink, self._accepted).connect(inbox=parts_in))
