"""What of memory= is whose."""

from __future__ import annotations

import pytest

from asyncmr import MemoryBudgetError
from asyncmr.streaming.division import Division

MIB = 1 << 20


@pytest.mark.parametrize(("memory", "workers", "keepers"), [(256, 1, 1), (512, 2, 2), (8192, 4, 3)])
def test_all_parts_together_are_no_more_than_the_whole(memory, workers, keepers):
    division = Division.of(memory * MIB, workers, keepers, None)
    assert division.engine + 2 * keepers * division.tables <= memory * MIB
    assert 0 < division.epoch <= division.tables * keepers


def test_the_tables_take_what_they_are_given():
    division = Division.of("1 GiB", 2, 2, "100 MiB")
    assert division.tables == 50 * MIB
    assert division.engine > Division.of("1 GiB", 2, 2, None).engine


def test_too_little_is_refused_with_what_is_needed():
    with pytest.raises(MemoryBudgetError, match=r"workers=2 and keepers=1, which need 2\d\d MiB"):
        Division.of("200 MiB", 2, 1, None)
    with pytest.raises(MemoryBudgetError, match="too little"):
        Division.of("256 MiB", 1, 1, "128 MiB")
