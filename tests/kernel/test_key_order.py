"""The largest of some pairs are the same, in whatever parts and order they come."""

import math
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.largest import largest

KEYS = [
    "a", "b", "", b"a", 1, 2, -7, 0.5, math.inf, math.nan, None, (), ("a", 1), ("a", "b"), ("a", math.nan), (2, 1),
    (10, 1), frozenset({"x", "y"}), frozenset({"x"}), date(2026, 11, 2), date(2026, 11, 10), Decimal("0.1"),
]  # fmt: skip
PAIRS = st.lists(st.integers(0, len(KEYS) - 1), unique=True).map(
    lambda keys: [(KEYS[n], n % 3) for n in keys]
)


@given(PAIRS, st.integers(1, 8), st.integers(0, 30), st.randoms(use_true_random=False))
def test_the_largest_of_parts_are_the_largest_of_all(pairs, k, cut, random):
    parts = pairs.copy()
    random.shuffle(parts)
    found = largest(k, [*largest(k, parts[:cut]), *largest(k, parts[cut:])])
    assert repr(found) == repr(largest(k, pairs))
    assert [value for _, value in found] == sorted((value for _, value in pairs), reverse=True)[:k]


def test_ties_are_in_the_order_of_numbers_text_and_dates():
    keys = [date(2026, 11, 10), "b", (10, 1), 2, "a", (2, 1), -7, date(2026, 11, 2), 0.5]
    found = [key for key, _ in largest(20, [(key, 1) for key in keys])]
    assert found == [-7, 0.5, 2, "a", "b", (2, 1), (10, 1), date(2026, 11, 2), date(2026, 11, 10)]
