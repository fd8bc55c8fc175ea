"""Each mistake of a stream is found within some hundred seeds."""

from __future__ import annotations

import re

import pytest

from tests.simulation.mutants import mutated
from tests.simulation.streams.mutants import MUTANTS
from tests.simulation.streams.run import simulate_stream
from tests.simulation.verdict import Violation

FEW = 500


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    with mutated(name, MUTANTS):
        for seed in range(FEW):
            try:
                simulate_stream(seed)
            except Violation as violation:
                # Otherwise it does not fit what it breaks any more, and was found for that.
                assert not re.search("unexpected keyword|positional argument|AttributeError", str(violation))  # noqa: PT017
                return
    pytest.fail(f"{FEW} seeds did not notice a stream that {name}")
