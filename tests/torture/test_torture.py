"""A fixed sample of the torture test; `scripts/torture` goes on for as long as one likes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from asyncmr.pipeline.made import Made
from asyncmr.storage import extents
from tests.torture.arena import arena
from tests.torture.jobs import expected, records
from tests.torture.machine import SETTINGS, machine_of
from tests.torture.tally import Tally

SAMPLE = settings(SETTINGS, derandomize=True, max_examples=4, stateful_step_count=15)
JOB: Any = {"shape": "sum", "source": "memory", "seed": 5, "per_task": 10, "harm": "none", "turns": 100}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "arena").mkdir()
    return tmp_path / "arena"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "options", [{}, {"backup_tasks": True, "on_error": "skip"}], ids=["plain", "lenient"]
)
def test_every_job_is_exact_or_fails_for_a_reason(folder, options):
    tally = Tally()
    with arena(folder, tally, **options) as (where, runner):
        run_state_machine_as_test(machine_of(where, runner), settings=SAMPLE)
    assert tally.exact > 5, str(tally)
    assert tally.faults.total() > 10, str(tally)
    assert (tally.hangs, tally.leftovers) == ([], []), str(tally)


@pytest.mark.parametrize("way", ["collect", "run", "stream"])
def test_the_judge_finds_output_that_was_lost(folder, monkeypatch, way):
    """A negative control: of what was mapped, the last block is forgotten."""
    stored = Made.stored
    with arena(folder, Tally()) as (where, runner):
        runner.run(expected(JOB["shape"], records(JOB["seed"])))
        monkeypatch.setattr(
            Made, "stored", lambda made, task: stored(made, task)[: -1 if task == 2 else None]
        )
        runner.run(where.start(way=way, **JOB))
        with pytest.raises(AssertionError, match="a wrong result"):
            runner.run(where.settle())


def test_the_judge_finds_a_flipped_bit_that_no_checksum_found(folder, monkeypatch):
    """A negative control: what was read back is another result, or nothing that can be decoded."""
    monkeypatch.setattr(extents, "_check", lambda extent, data: None)
    with arena(folder, Tally()) as (where, runner):
        with pytest.raises(Exception, match=r"a wrong result|task failed"):
            runner.run(flips(where))
        assert where.tally.faults["disk: corrupt"] > 0


async def flips(where):
    for after in range(10):  # a single bit may happen to decide nothing
        await where.start(way="collect", **JOB | {"shape": "values in order"})
        await where.break_disk("corrupt", after)
        await where.settle()
