from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncmr.storage.disk import Disk
from tests.storage.small_disk import small_disk

__all__ = ["disk", "small_disk"]


@pytest.fixture
async def disk() -> AsyncIterator[Disk]:
    async with Disk() as opened:
        yield opened
