"""Engines and trails for the tests of whole jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import asyncmr.engines.local  # noqa: F401 - by the first test, on its loop, it would be too slow
from asyncmr import Engine
from asyncmr.pipeline.limits import Limits
from tests.engine.gated import Gate
from tests.engine.trail import Trail
from tests.engine.word_count import WAYS
from tests.workers.talking import until


@pytest.fixture(params=WAYS)
def limits(request) -> Limits | None:
    """The sizes of the `engine` fixture."""
    return WAYS[request.param]


@pytest.fixture
async def engine(limits) -> AsyncIterator[Engine]:
    """An engine whose two workers are up; it runs small jobs in one task, or every stage with tasks of its own."""
    async with Engine(workers=2, limits=limits) as opened:
        await until(lambda: opened._backend._pool.stats().idle == 2)
        yield opened


@pytest.fixture
def trail(tmp_path) -> Trail:
    return Trail(tmp_path / "trail")


@pytest.fixture
def gate(tmp_path) -> Gate:
    return Gate(tmp_path / "gate")
