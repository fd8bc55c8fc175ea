"""Streams keep every promise, however often their processes are killed, and each seed goes the same way always."""

from __future__ import annotations

import pytest

from tests.simulation.__main__ import portion
from tests.simulation.streams.run import simulate_stream

SEEDS, CHUNK = 150, 25
KINDS = {"crash", "death", "disk error", "slow call"}


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_goes_wrong_every_line_counts_once(first):
    sums = portion(first, CHUNK, "stream")
    assert not sums.broken, "\n\n".join(sums.broken)
    # Otherwise the seeds would show nothing.
    assert sums.jobs["exact"] >= CHUNK
    assert sums.jobs.keys() >= {"stopped", "cancelled", "killed", "left"}
    assert sums.faults.keys() >= KINDS


def test_the_same_seed_goes_the_same_way_each_time():
    digests = [simulate_stream(seed).digest for seed in range(20)]
    assert [simulate_stream(seed).digest for seed in range(20)] == digests
    assert len(set(digests)) == len(digests)
