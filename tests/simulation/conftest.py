"""The simulation collects garbage with each seed."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def what_others_made_is_not_looked_at() -> Iterator[None]:
    """What thousands of other tests have left in memory would take two thirds of its time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
