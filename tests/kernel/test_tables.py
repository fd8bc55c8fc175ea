"""Tables that integers are added to in C."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.tables import add_integers

KEYS = st.sampled_from("abcde")
VALUES = st.integers() | st.booleans() | st.floats(allow_nan=False) | st.just(-0.0)


@given(st.dictionaries(KEYS, VALUES), st.lists(st.tuples(KEYS, VALUES), min_size=1))
def test_integers_are_added_as_one_by_one_and_nothing_else_is(table, pairs):
    run = Slice((), [key for key, _ in pairs], [value for _, value in pairs], None)
    expected = dict(table)
    integers = all(type(value) is int for value in run.values)
    for key, value in pairs if integers else ():
        expected[key] = expected[key] + value if key in expected else value
    assert add_integers(table, run, "fold", operator.add) is integers
    assert list(map(repr, table.items())) == list(map(repr, expected.items()))


class Stops:
    """What ends an iteration when it is added to."""

    def __add__(self, other: object) -> object:
        raise StopIteration


@pytest.mark.parametrize("there", ["text", Stops()])
def test_the_key_is_named_at_which_an_addition_fails(there):
    run = Slice((), ["a", "b", "c"], [1, 2, 3], None)
    with pytest.raises(UserFailure, match="for the key 'b'"):
        add_integers({"b": there}, run, "fold", operator.add)
