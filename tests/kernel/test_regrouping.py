"""Groupings hold every value once, in order; for an operator that is one they make no difference."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.operators import AggregateOperator, FoldOperator, GroupOperator, Partial
from asyncmr.kernel.regrouping import groupings, orders, reduced, shown
from tests.family import Mean, listed, total

COUNTS = st.integers(1, 12)


def positions(grouping):
    return [at for node in grouping for at in ([node] if isinstance(node, int) else positions(node))]


@given(count=COUNTS, converts=st.booleans(), thorough=st.booleans())
def test_a_grouping_holds_every_value_once_and_in_order(count, converts, thorough):
    found = groupings(count, converts=converts, thorough=thorough)
    assert [positions(grouping) for grouping in found] == [list(range(count))] * len(found)
    assert len(set(found)) == len(found)


@given(count=st.integers(3, 12))
def test_to_be_thorough_is_to_try_more(count):
    few, many = (set(groupings(count, converts=True, thorough=thorough)) for thorough in (False, True))
    assert few < many


def test_very_many_values_are_grouped_without_deep_trees():
    count = 20_000
    for grouping in groupings(count, converts=True):
        assert reduced(FoldOperator(operator.add), "key", [1] * count, grouping) == count


@given(count=COUNTS, thorough=st.booleans())
def test_orders_are_others_of_the_same_values(count, thorough):
    found = orders(count, thorough=thorough)
    straight = tuple(range(count))
    assert all(sorted(order) == list(straight) != list(order) for order in found)
    assert len(found) >= (count > 1)


@given(values=st.lists(st.text(max_size=2), min_size=1, max_size=9))
def test_an_associative_fold_gives_the_same_in_all(values):
    for grouping in groupings(len(values), converts=True, thorough=True):
        assert reduced(FoldOperator(operator.add), "key", values, grouping) == "".join(values)


@given(values=st.lists(st.integers(), min_size=1, max_size=9))
def test_a_combiner_and_an_aggregator_give_the_same_in_all(values):
    for grouping in groupings(len(values), converts=True, thorough=True):
        assert reduced(GroupOperator(total, total), "key", values, grouping) == [("key", sum(values))]
        mean = reduced(AggregateOperator(Mean()), "key", values, grouping)
        assert mean == sum(values) / len(values)


def test_partials_are_merged_and_values_added():
    operator_ = AggregateOperator(Mean())
    assert operator_.unfinished("key", [Partial((10, 2)), 5, Partial((1, 1))]) == (16, 4)


@pytest.mark.parametrize(("lone", "got"), [(False, [1]), (True, [[1]])])
def test_a_single_value_meets_the_combiner_only_where_that_is_asked_for(lone, got):
    assert GroupOperator(listed, listed, lone=lone).combined("key", [1]) == got


def test_a_combiner_may_drop_all_values():
    nothing = GroupOperator(lambda key, values: [], total)
    assert reduced(nothing, "key", [1, 2], ((0, 1),)) == []


def test_what_is_combined_first_is_in_parentheses():
    assert shown((0, (1, (2, 3))), ["a", "b", "c", "d"]) == "a, (b, (c, d))"
