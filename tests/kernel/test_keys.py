"""Which keys are one key, and which cannot be keys."""

import threading
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given

from asyncmr.errors import KeyTypeError, UsageError
from asyncmr.kernel.hashing import KeyHasher, canonical, register_key_type, same_key
from tests.kernel.keykinds import SCALARS, Colour, Pair, Point, contains_nan, keys


@pytest.mark.parametrize("wrap", [lambda key: key, lambda key: (key,), lambda key: Point("p", key)])
def test_keys_that_are_equal_have_one_canonical_form_and_others_have_their_own(wrap):
    for a, b in combinations(SCALARS, 2):
        if not contains_nan(a) and not contains_nan(b):
            assert (canonical(wrap(a)) == canonical(wrap(b))) == (wrap(a) == wrap(b)), (a, b)


@given(keys, keys)
def test_the_canonical_form_says_what_same_key_says(a, b):
    assert (canonical(a) == canonical(b)) == same_key(a, b)
    if a == b:
        assert same_key(a, b)
    elif not (contains_nan(a) and contains_nan(b)):
        assert not same_key(a, b)


def test_a_namedtuple_is_the_tuple_of_its_items():
    assert canonical(Pair("a", 1)) == canonical(("a", 1.0))


def test_the_order_of_a_frozenset_does_not_matter():
    words = [f"word{n}" for n in range(100)]
    assert canonical(frozenset(words)) == canonical(frozenset(reversed(words)))


def test_a_class_of_the_main_script_is_the_same_class_in_a_worker(monkeypatch):
    """A worker imports the script as `__mp_main__`."""
    monkeypatch.setattr(Colour, "__module__", "__main__")
    in_the_host = canonical(Colour.RED)
    monkeypatch.setattr(Colour, "__module__", "__mp_main__")
    assert canonical(Colour.RED) == in_the_host


def test_a_decimal_of_a_few_thousand_digits_still_meets_its_int():
    assert canonical(Decimal("1e5000")) == canonical(10**5000)


class CaseBlind(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.casefold() == other.casefold()

    __hash__ = str.__hash__


@dataclass(frozen=True)
class Rounded:
    x: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rounded) and round(self.x) == round(other.x)

    def __hash__(self) -> int:
        return hash(round(self.x))


@dataclass
class Thawed:
    x: int


class BadRepr:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ([1], "use a tuple"),
        ({"a": 1}, "use frozenset"),
        ({1}, "use a frozenset"),
        (bytearray(b"a"), "use bytes"),
        (memoryview(b"a"), "use bytes"),
        (range(3), "use a tuple"),
        (Thawed(1), r"frozen=True"),
        (Rounded(1.2), r"the == that comes with it"),
        (CaseBlind("a"), "register_key_type"),
        (object(), "register_key_type"),
        (threading.Lock(), "register_key_type"),
        (BadRepr(), "register_key_type"),
        (..., "register_key_type"),
        (Decimal("sNaN"), "register_key_type"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_has_no_value_that_is_the_same_everywhere_is_refused_with_advice(key, advice):
    for held in (key, ("a", key), ("a", ("b", key))):
        with pytest.raises(KeyTypeError, match=advice) as caught:
            KeyHasher().hashes(["fine", held])
        assert type(key).__qualname__ in str(caught.value)


def test_the_error_shows_a_bounded_excerpt_of_the_key():
    with pytest.raises(KeyTypeError) as caught:
        canonical([0] * 100_000)
    assert len(str(caught.value)) < 1000


class Version:
    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.numbers == other.numbers

    def __hash__(self) -> int:
        return hash(self.numbers)


class Release(Version):
    pass


def test_a_registered_type_and_its_subclasses_are_keys():
    with pytest.raises(KeyTypeError):
        canonical(Release(1, 2))
    register_key_type(Version, lambda version: ("Version", *version.numbers))
    assert canonical(Release(1, 2)) == canonical(Version(1, 2)) != canonical(Version(1, 3))
    assert KeyHasher().hash((Version(1),)) == KeyHasher().hash((Release(1),))


class Endless:
    pass


def test_a_registered_function_that_gives_the_type_again_is_refused():
    register_key_type(Endless, lambda key: key)
    with pytest.raises(KeyTypeError, match="such a key again"):
        canonical(Endless())


@pytest.mark.parametrize("cls", [str, bool, type(None), object, Decimal, "Point"])
def test_only_classes_of_the_users_own_can_be_registered(cls: Any):
    with pytest.raises(UsageError, match="register_key_type"):
        register_key_type(cls, str)
