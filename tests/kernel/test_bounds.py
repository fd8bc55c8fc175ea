"""Where a total order is cut: every bound once, parts of about equal size, and hot keys by themselves."""

from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.bounds import Bounds
from asyncmr.kernel.failures import UserFailure

SHARES = 16
KEYS = st.lists(st.integers(0, 50), max_size=200)
PARTITIONS = st.integers(1, 12)


def partition_of(bounds, key):
    return [0, *bounds.shares][bisect_right(bounds.keys, key)] // SHARES


def sizes(bounds, keys, partitions):
    found = [0] * partitions
    for key in keys:
        found[partition_of(bounds, key)] += 1
    return found


@given(keys=KEYS, partitions=PARTITIONS)
def test_bounds_and_shares_ascend_and_fit_the_partitions(keys, partitions):
    bounds = Bounds.chosen(keys, [1.0] * len(keys), partitions, SHARES)
    assert all(a < b for a, b in pairwise(bounds.keys))
    assert all(a < b for a, b in pairwise([0, *bounds.shares]))
    assert not bounds.shares or bounds.shares[-1] < partitions * SHARES


@given(keys=KEYS, partitions=PARTITIONS)
def test_no_part_of_several_keys_has_more_than_two_equal_shares(keys, partitions):
    bounds = Bounds.chosen(keys, [1.0] * len(keys), partitions, SHARES)
    for partition, size in enumerate(sizes(bounds, keys, partitions)):
        if len({key for key in keys if partition_of(bounds, key) == partition}) > 1:
            assert size <= 2 * len(keys) / partitions


def test_different_keys_make_equal_parts():
    bounds = Bounds.chosen(list(range(1600)), [1.0] * 1600, 4, SHARES)
    assert sizes(bounds, range(1600), 4) == [400] * 4
    assert bounds.keys == list(range(25, 1600, 25))


def test_a_hot_key_has_a_part_of_its_own_and_the_rest_is_divided():
    keys = [*range(30), *[30] * 1000, *range(31, 331)]
    found = sizes(Bounds.chosen(keys, [1.0] * len(keys), 5, SHARES), keys, 5)
    assert found == [30, 1000, 100, 100, 100]


def test_weights_count_and_not_keys():
    keys, weights = [*range(110)], [100.0] * 10 + [1.0] * 100
    found = sizes(Bounds.chosen(keys, weights, 2, SHARES), keys, 2)
    assert found == [6, 104]


def test_fewer_keys_than_parts_leave_the_last_parts_empty():
    assert sizes(Bounds.chosen([1, 1, 2], [1.0] * 3, 5, SHARES), [1, 1, 2], 5) == [2, 1, 0, 0, 0]
    assert Bounds.chosen([], [], 5, SHARES) == Bounds([], [])


@given(sample=KEYS, keys=KEYS, partitions=PARTITIONS)
def test_sorted_keys_are_divided_as_one_by_one(sample, keys, partitions):
    keys.sort()
    bounds = Bounds.decoded(Bounds.chosen(sample, [1.0] * len(sample), partitions, SHARES).encoded())
    ranges = list(bounds.divide(keys))
    assert [keys[at] for _, start, end in ranges for at in range(start, end)] == keys
    for share, start, end in ranges:
        assert {partition_of(bounds, key) for key in keys[start:end]} == {share // SHARES}


def test_keys_that_cannot_be_compared_are_named():
    with pytest.raises(UserFailure, match="int, str"):
        Bounds.chosen([1, "a"], [1.0, 1.0], 2, SHARES)
    with pytest.raises(UserFailure, match="int, str"):
        list(Bounds([1, 2], [1, 2]).divide(["a"]))
    with pytest.raises(UserFailure, match="NaN"):
        Bounds.chosen([float("nan")], [1.0], 2, SHARES)
