"""An engine that has nothing to do holds nothing."""

from __future__ import annotations

import asyncio

from asyncmr import Engine
from tests.workers.talking import until


async def is_at_rest(engine: Engine) -> None:
    """Waits until nothing of a job is left in the engine: no task in a worker, no byte, no buffer, no task of ours."""
    backend = engine._backend
    await until(lambda: backend._pool.stats().idle == backend.workers)
    assert backend._pool.stats().waiting == 0
    assert backend._budget.stats() == type(backend._budget)(backend._limits.shuffle).stats()
    assert backend._pool.segments.stats().leased == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
