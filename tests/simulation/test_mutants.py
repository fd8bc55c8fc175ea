"""Each mistake in the commit path is found within some hundred seeds, which are all well without it."""

from __future__ import annotations

import re

import pytest

from tests.simulation.mutants import MUTANTS, mutated
from tests.simulation.run import simulate
from tests.simulation.test_simulation import SEEDS
from tests.simulation.verdict import Violation

FEW = 500
assert FEW <= SEEDS


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    with mutated(name):
        for seed in range(FEW):
            try:
                simulate(seed)
            except Violation as violation:
                # Otherwise it does not fit what it breaks any more, and was found for that.
                assert not re.search("unexpected keyword|positional argument", str(violation))  # noqa: PT017
                return
    pytest.fail(f"{FEW} seeds did not notice an engine that {name}")
