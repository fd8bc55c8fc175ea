"""What rounding does is no difference; everything else is."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from math import fsum, inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.likeness import alike, magnitude

# What a sum of tenths is when it is grouped in two ways.
ONE, OTHER = (0.1 + 0.2) + 0.3, 0.1 + (0.2 + 0.3)


@dataclass
class Point:
    x: float


class Plain:
    def __init__(self, **held):
        self.__dict__.update(held)


class Slotted:
    __slots__ = ("x", "y")

    def __init__(self, x):
        self.x = x


class Array:
    """As arrays of numbers do: compares member by member, and has no truth."""

    def __init__(self, *members):
        self.members = members

    def __eq__(self, other):
        return Array(*(a == b for a, b in zip(self.members, other.members, strict=True)))

    def __bool__(self):
        raise ValueError("the truth of an array is ambiguous")

    def tolist(self):
        return list(self.members)

    __hash__ = None  # type: ignore[assignment]


WRAPS = [
    lambda value: value,
    lambda value: [value],
    lambda value: (1, value),
    lambda value: {"a": value},
    lambda value: Counter(a=value),
    lambda value: OrderedDict(a=[value]),
    Point,
    lambda value: Plain(x=value, y=1),
    Slotted,
    lambda value: deque([value]),
    Array,
    lambda value: [{"a": (1, [value])}],
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_rounding_does_is_no_difference_wherever_it_is(wrap):
    assert ONE != OTHER
    assert alike(wrap(ONE), wrap(OTHER), scale=0.6)


@pytest.mark.parametrize("wrap", WRAPS)
def test_another_number_is_a_difference_wherever_it_is(wrap):
    assert not alike(wrap(0.6), wrap(0.601), scale=0.6)
    assert not alike(wrap(6), wrap(7), scale=6)


@pytest.mark.parametrize("wrap", WRAPS)
def test_nan_is_like_nan_wherever_it_is(wrap):
    assert alike(wrap(nan), wrap(float("nan")), scale=1)
    assert not alike(wrap(nan), wrap(1.0), scale=1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a", "b"),
        ("a", b"a"),
        (1, "1"),
        (None, 0),
        ([1], (1,)),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({1}, {2}),
        (Plain(x=1), Plain(x=1, y=1)),
        (Plain(x=1), Plain(y=1)),
        (Plain(x=1), Slotted(1)),
        (10**30, 10**30 + 1),
        (Fraction(1, 3), Fraction(333_333_333, 10**9)),
        (object(), object()),
        (inf, -inf),
    ],
)
def test_what_is_not_a_matter_of_rounding_is_a_difference(first, second):
    assert not alike(first, second, scale=1.0)
    assert not alike(second, first, scale=1.0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, 1.0),
        (True, 1),
        (Decimal("0.1") + Decimal("1e-30"), Decimal("0.1")),
        (Decimal(1), 1.0),
        (1 + 1e-12j, 1 + 0j),
        ({1: 2, 3: 4}, {3: 4, 1: 2}),
        (Counter(), {}),
        ({1, 2}, frozenset({2, 1})),
        (inf, inf),
    ],
)
def test_what_is_equal_but_for_rounding_is_alike(first, second):
    assert alike(first, second, scale=1.0)


def test_where_numbers_cancel_out_their_size_says_what_is_rounding():
    values = [1e16, 1.0, -1e16]
    assert alike(0.0, 1.0, scale=magnitude(values))
    assert not alike(0.0, 1.0, scale=magnitude([1.0, 1.0]))


def test_of_an_overflow_nothing_can_be_said():
    assert magnitude([1e308, 1e308]) == inf
    assert alike(inf, 0.0, scale=inf)
    assert not alike(1, 2, scale=inf)


def test_magnitude_looks_into_what_values_hold_and_past_what_is_no_number():
    assert magnitude([[3, {"a": -4.0}], "5", b"6", None, nan, Point(2.0), 1 + 0j]) == 10


def test_things_that_hold_themselves_are_compared():
    first: list = [1]
    first.append(first)
    second: list = [1]
    second.append(second)
    assert not alike(first, [1, [1, [2]]], scale=1)
    assert magnitude([first]) < inf


@given(values=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5))
def test_sums_in_any_order_are_alike(values):
    scale = magnitude(values)
    assert all(alike(sum(order), fsum(values), scale=scale) for order in permutations(values))


@given(value=st.floats(allow_nan=False, allow_infinity=False).filter(bool))
def test_a_thousandth_more_is_a_difference(value):
    more = value * 1.001
    if more != value and math.isfinite(more):
        assert not alike(value, more, scale=0.0)
