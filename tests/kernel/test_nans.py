"""NaNs are one key."""

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.hashing import KeyHasher, canonical, holds_nan, same_key, unify_nans
from tests.kernel.keykinds import Pair, Point, Slotted, contains_nan, keys


def nan() -> float:
    return float("nan")


def holders(value: object) -> list[object]:
    return [
        value,
        (value,),
        Pair(1, (value,)),
        frozenset({1, value}),
        Point("p", value),
        Slotted(value),
        (Slotted((value,)), 1),
    ]


def test_nans_made_apart_are_one_key_wherever_they_are_held():
    for a, b in zip(holders(nan()), holders(complex(1, nan())), strict=True):
        assert a != b
        assert same_key(a, b)
        assert canonical(a) == canonical(b)
        assert KeyHasher().hash(a) == KeyHasher().hash(b)


def test_a_dict_finds_unified_keys_across_blocks():
    table = dict.fromkeys(unify_nans(holders(nan())))
    assert len(table) == len(holders(0))
    for key in unify_nans(holders(nan())):
        assert key in table


def test_unifying_keeps_types_and_leaves_other_keys_alone():
    other = ("a", (1, 2.5))
    pair, same = unify_nans([Pair(1, nan()), other])
    assert type(pair) is Pair
    assert same is other


def test_two_nans_in_a_frozenset_become_one():
    (unified,) = unify_nans([frozenset({nan(), nan(), 1})])
    assert len(unified) == 2


def test_a_nan_beside_tuples_is_found():
    assert holds_nan([("a", 1), nan()])
    assert holds_nan([0.5, ("a", nan())])
    assert not holds_nan([0.5, ("a", 1)])


@given(st.lists(keys, max_size=4))
def test_holds_nan_finds_every_nan_and_nothing_else(column):
    assert holds_nan(column) == any(map(contains_nan, column))


@given(st.lists(keys, max_size=4))
def test_after_unifying_a_dict_agrees_with_same_key(column):
    unified = unify_nans(column)
    for a, b in zip(unified, column, strict=True):
        assert same_key(a, b)
    assert len(dict.fromkeys(unified)) == len(set(map(canonical, column)))
