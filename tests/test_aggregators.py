"""Ready-made aggregators give what the same loop over all values gives, however the values are cut."""

import math
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncmr
from asyncmr import Aggregator, Count, Distinct, Engine, Job, Max, Mean, Min, Sum, TopK, UsageError
from asyncmr.testing import check_reducer

# Equal values that can be told apart, so that it shows which of them is kept.
VALUES = st.tuples(st.integers(0, 5), st.integers()) | st.tuples(st.booleans(), st.integers())
FIRST = operator.itemgetter(0)
ORACLES: dict[str, tuple[Aggregator, Any]] = {
    "count": (Count(), len),
    "sum": (Sum(), sum),
    "min": (Min(), min),
    "max": (Max(), max),
    "mean": (Mean(), lambda values: sum(values) / len(values)),
    "top": (TopK(3), lambda values: sorted(values, reverse=True)[:3]),
    "distinct": (Distinct(), lambda values: list(dict.fromkeys(values))),
}
BY_KEY: dict[str, tuple[Aggregator, Any]] = {
    "min": (Min(key=FIRST), lambda values: min(values, key=FIRST)),
    "max": (Max(key=FIRST), lambda values: max(values, key=FIRST)),
    "top": (TopK(2, key=FIRST), lambda values: sorted(values, key=FIRST, reverse=True)[:2]),
}


def accumulated(aggregator, values, cuts):
    """The accumulator of values that are cut wherever a cut is true, half of the merges from the right."""
    groups: list[list[Any]] = [[]]
    for value, cut in zip(values, cuts, strict=True):
        if cut:
            groups.append([])
        groups[-1].append(value)
    accs = []
    for group in groups:
        acc = aggregator.zero()
        for value in group:
            acc = aggregator.add(acc, value)
        accs.append(acc)
    while len(accs) > 1:
        where = len(accs) // 2 - 1
        accs[where : where + 2] = [aggregator.merge(*accs[where : where + 2])]
    return accs[0]


def cut(values):
    return st.lists(values.flatmap(lambda value: st.tuples(st.just(value), st.booleans())), min_size=1)


@pytest.mark.parametrize("name", ORACLES)
@given(pieces=cut(st.integers()))
def test_any_cut_gives_what_a_loop_over_all_gives(name, pieces):
    aggregator, oracle = ORACLES[name]
    values, cuts = zip(*pieces, strict=True)
    assert aggregator.finish(accumulated(aggregator, values, cuts)) == oracle(list(values))


@pytest.mark.parametrize("name", BY_KEY)
@given(pieces=cut(VALUES))
def test_of_equal_values_the_first_is_kept(name, pieces):
    aggregator, oracle = BY_KEY[name]
    values, cuts = zip(*pieces, strict=True)
    assert aggregator.finish(accumulated(aggregator, values, cuts)) == oracle(list(values))


@pytest.mark.parametrize("name", ORACLES)
def test_the_checker_of_reducers_has_nothing_to_say(name):
    check_reducer(aggregator=ORACLES[name][0], strategy=st.integers(-50, 50), groups=50)


@given(cuts=st.lists(st.booleans(), min_size=3, max_size=3))
def test_nan_is_one_value_wherever_it_comes_from(cuts):
    values = [math.nan, 1, float("nan")]
    nan, one = Distinct().finish(accumulated(Distinct(), values, cuts))
    assert (math.isnan(nan), one) == (True, 1)


def test_the_top_of_none_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        TopK(0)


RUNS: list[tuple[Aggregator, Any]] = [
    (Min(), 1),
    (Max(), 8),
    (Mean(), 4.0),
    (TopK(2), [8, 5]),
    (Distinct(), [5, 3, 8, 1]),
]


async def test_they_run_as_jobs():
    numbers = asyncmr.records([5, 3, 3, 8, 1], records_per_task=1)
    async with Engine(workers=1, executor="thread") as engine:
        for aggregator, expected in RUNS:
            job = Job(mapper=lambda _, number: [("all", number)], aggregator=aggregator)
            assert dict(await engine.collect(job, numbers)) == {"all": expected}
