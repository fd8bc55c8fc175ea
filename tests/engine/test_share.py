"""What of the machine an engine takes when nobody says, and when it gets a share."""

from __future__ import annotations

import pytest

from asyncmr import Engine, MemoryBudgetError, UsageError
from asyncmr.engines import share
from asyncmr.sizes import MIB


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight CPUs, and 4 GiB by default."""
    monkeypatch.setattr(share, "_cpus", lambda: 8)
    monkeypatch.setattr(share, "default_memory", lambda: 4096 * MIB)


@pytest.mark.parametrize(
    ("given", "workers", "mib"), [({}, 8, 4096), ({"share": 1 / 4}, 2, 1024), ({"share": 0.1}, 1, 409)]
)
def test_a_share_is_of_cpus_and_of_memory(machine, given, workers, mib):
    backend = Engine(**given)._backend
    assert (backend.workers, backend.memory // MIB) == (workers, mib)


@pytest.mark.parametrize("parts", range(1, 9))
def test_equal_shares_are_never_more_than_the_machine_and_lose_no_cpu_to_rounding(machine, parts):
    workers = share.workers_of(None, 1 / parts)
    assert workers == 8 // parts


def test_what_is_said_is_not_divided(machine):
    backend = Engine(workers=3, memory="1 GiB", share=0.25)._backend
    assert (backend.workers, backend.memory) == (3, 1024 * MIB)


@pytest.mark.parametrize("wrong", [0, -0.5, 1.5, 4])
def test_what_is_no_share_is_refused(wrong):
    with pytest.raises(UsageError, match="share="):
        Engine(share=wrong)


def test_a_share_too_small_to_work_with_says_what_it_is_a_share_of(machine):
    with pytest.raises(MemoryBudgetError, match=r"the default is share=0\.01 of half of what"):
        Engine(share=0.01)
