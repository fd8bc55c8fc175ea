"""A thousand seeds keep every promise, and each goes the same way whenever and wherever it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import Sums, portion
from tests.simulation.run import simulate

SEEDS, CHUNK = 1000, 50
KINDS = {"death", "straggler", "slow records", "slow call", "short transfer"}


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_goes_wrong_the_output_is_exact_or_an_error_says_why(first):
    sums = portion(first, CHUNK)
    assert not sums.broken, "\n\n".join(sums.broken)
    # Otherwise the seeds would show nothing.
    assert sums.jobs["exact"] > CHUNK / 4
    assert sums.faults.keys() >= KINDS


def test_the_same_seed_goes_the_same_way_in_another_process():
    seeds = range(80, 130)
    here = [simulate(seed).digest for seed in seeds]
    assert [simulate(seed).digest for seed in seeds] == here
    code = f"from tests.simulation.run import simulate\nprint(*(simulate(seed).digest for seed in {seeds!r}))"
    there = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [int(digest) for digest in there.stdout.split()] == here


def test_different_seeds_go_different_ways():
    digests = [simulate(seed).digest for seed in range(2000, 2030)]
    assert len(set(digests)) == len(digests)


def test_what_many_seeds_met_is_said_in_figures():
    sums = Sums()
    for first in (0, 10):
        sums.add(portion(first, 10))
    text = "\n".join(sums.lines(2.0))
    assert "runs 20 in 2 s, 10 a second" in text
    assert f"exact {sums.jobs['exact']}" in text
    assert "hangs 0, wrong results, wrong errors and leftovers 0" in text
