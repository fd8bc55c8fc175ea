"""Looks at what passes inside an engine, beside what its users see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from asyncmr.pipeline.messages import Part
from asyncmr.pipeline.sink import SinkActor
from asyncmr.storage.budget import JobBudget
from asyncmr.storage.runs import BlockStore
from tests.simulation.verdict import Watched


@contextmanager
def watching(jobs: Sequence[Watched], broken: list[str]) -> Iterator[None]:
    """Looks at what passes inside: at each part that reaches the sink of a job, and into the block store of each job
    that succeeds, where what is left was forgotten."""
    close, handle = BlockStore.__aexit__, SinkActor.handle

    async def look(self: BlockStore, *raised: Any) -> None:
        done = raised[0] is None and isinstance(self._budget, JobBudget)
        if done and self.stats().blocks and not any(job.keeps_blocks for job in jobs):
            broken.append(f"blocks are left in the store of a job that is done: {self.stats()}")
        await close(self, *raised)

    async def look_and_handle(self: SinkActor, item: Part) -> None:
        for job in jobs:
            job.look_at_part(self._sink, item)
        await handle(self, item)

    BlockStore.__aexit__ = look  # type: ignore[method-assign]
    SinkActor.handle = look_and_handle  # type: ignore[method-assign]
    try:
        yield
    finally:
        BlockStore.__aexit__ = close  # type: ignore[method-assign]
        SinkActor.handle = handle  # type: ignore[method-assign]
