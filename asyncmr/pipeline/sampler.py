"""Before the first stage of a total order: maps a sample of the input, and has the bounds of the partitions chosen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from asyncmr.actors import TaskScope
from asyncmr.pipeline.attempts import Done, Task
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.feeding import split_buffer, whole
from asyncmr.pipeline.made import Made
from asyncmr.protocols import Sample

# The number of the task that chooses the bounds, beside the samples, whose numbers count up from 0.
_BOUNDS = -1


class Sampler:
    """Looks at the samples of one step's source, several at a time."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._stage = f"{context.prefix}sample"
        # What goes wrong goes wrong in the mapper, and so an error should say.
        self._blamed = context.map_stage
        self._turn = asyncio.Lock()
        self._found: dict[int, Made] = {}

    async def bounds(self, samples: AsyncGenerator[Sample, None], partitions: int) -> bytes:
        """The bounds of so many partitions, encoded."""
        self._context.ledger.begin(self._stage)
        async with aclosing(samples), TaskScope() as scope:
            for number in range(self._context.workers):
                scope.spawn(lambda: self._lane(samples), name=f"{self._stage}[{number}]")
        store = self._context.store
        blocks = [block for _, made in sorted(self._found.items()) for block in made.loose]
        buffers = [await store.read(block) for block in blocks]
        done = await self._context.taken(self._stage, _BOUNDS)
        if done is None:
            task = Task(self._blamed, "the choice of bounds", "bounds", (partitions, self._context.shares))
            done = await self._context.attempts.run(task, whole([*buffers]), self._context.made)
            await self._context.commit(self._stage, _BOUNDS, done)
        (chosen,) = done.outcome.loose
        bounds = await store.read(chosen)
        for made in (*self._found.values(), done.outcome):
            made.free_loose()
        return bounds

    async def _lane(self, samples: AsyncGenerator[Sample, None]) -> None:
        while True:
            async with self._turn:
                sample = await anext(samples, None)
            if sample is None:
                return
            try:
                await self._look(sample)
            finally:
                if sample.split.buffer is not None:
                    sample.split.buffer.release()

    async def _look(self, sample: Sample) -> None:
        split = sample.split
        done = await self._context.taken(self._stage, split.index)
        if done is None:
            done = await self._sampled(sample)
        self._found[split.index] = done.outcome

    async def _sampled(self, sample: Sample) -> Done[Made]:
        split = sample.split
        task = Task(
            self._blamed,
            f"sample {split.index} of the input",
            "sample",
            (sample.every, sample.stretches, sample.worth),
            split,
        )
        done = await self._context.attempts.run(task, whole([split_buffer(split)]), self._context.made)
        done.counts = {}  # those of records that are mapped again
        await self._context.commit(
            self._stage,
            split.index,
            done,
            records_in=done.facts["records"],
            bytes_in=split.length,
            pairs_out=done.facts["pairs"],
        )
        return done
