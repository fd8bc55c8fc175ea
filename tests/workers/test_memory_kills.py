from __future__ import annotations

import pytest

from asyncmr.workers import memory_kills
from asyncmr.workers.memory_kills import MemoryKills


@pytest.fixture
def kernel(monkeypatch):
    """Says what the kernel counts."""

    def counts(number):
        monkeypatch.setattr(memory_kills, "out_of_memory_kills", lambda: number)

    counts(5)
    return counts


def test_kills_from_before_explain_nothing(kernel):
    assert MemoryKills().explain() is False


def test_each_kill_explains_one_death(kernel):
    kills = MemoryKills()
    kernel(7)
    assert [kills.explain() for _ in range(3)] == [True, True, False]
    kernel(8)
    assert [kills.explain() for _ in range(2)] == [True, False]


def test_where_the_kernel_does_not_count_nothing_is_known(kernel):
    kernel(None)
    assert MemoryKills().explain() is None
