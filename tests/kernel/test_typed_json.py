"""What is written as typed JSON comes back equal and of the same type, however it is nested."""

from __future__ import annotations

import enum
import json
from collections import Counter, OrderedDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr import FormatError
from asyncmr.kernel.typed_json import texts, value_of


class Color(enum.Enum):
    RED = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


Point = namedtuple("Point", "x y")


@dataclass(frozen=True, slots=True)
class User:
    name: str
    tags: tuple[str, ...] = ()


@dataclass
class Guarded:
    ran = False
    value: int

    def __post_init__(self):
        Guarded.ran = True


def there_and_back(value):
    (text,) = texts([value])
    return value_of(json.loads(text.encode().decode()))


def shape(value):
    """A value as something that is equal only for the same types all the way down, and in the same order."""
    if isinstance(value, dict):
        return type(value), [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, list | tuple | deque):
        return type(value), list(map(shape, value))
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(shape(item)) for item in value)
    return type(value), hex(value) if isinstance(value, int) else repr(value)


HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters() | st.characters(categories=["Cs"]))
    | st.sampled_from(["$tuple", "\ud83d\ude00"])
    | st.binary()
    | st.complex_numbers()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.sampled_from([UTC, ZoneInfo("Europe/Berlin")]))
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from([Color.RED, Access.READ | Access.WRITE]),
    lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner),
    max_leaves=8,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(HASHABLE, inner)
        | st.dictionaries(st.text(), inner)
        | st.lists(inner).map(deque)
        | st.dictionaries(HASHABLE, inner).map(OrderedDict)
        | st.binary().map(bytearray)
        | st.sets(HASHABLE)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_comes_back_as_it_was(value):
    assert shape(there_and_back(value)) == shape(value)


@pytest.mark.parametrize(
    "value",
    [
        True, 1, 1.0, -0.0, 2**53 + 1, 10**5000, -(10**5000), float("-inf"), {"$tuple": [1]}, {1: 2},
        Counter("abba"), deque([1], 3), User("a", ("b",)), Point(1, (2,)), {"a": {"$b": 1}},
        Decimal("1.50"), Fraction(1, 3), UUID(int=7),
        date(2026, 11, 21), time(1, 2, 3, tzinfo=timezone(timedelta(hours=1))), datetime(2026, 10, 25, 2, fold=1),
        datetime(2026, 10, 25, 2, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_kind_of_value_comes_back_as_it_was(value):
    assert shape(there_and_back(value)) == shape(value)


def test_columns_are_written_as_their_values_are():
    for column in (["a", "\ud800"], ["a", "b\n"], [1, 10**5000], [1, 2], [1, "a"]):
        assert texts(column) == [texts([value])[0] for value in column]
        assert "\n" not in "".join(texts(column))


def test_equal_sets_are_equal_text():
    assert texts([{0, 8, 16}]) == texts([{16, 8, 0}])


def test_a_class_is_made_without_calling_it():
    value = Guarded(1)
    Guarded.ran = False
    assert there_and_back(value) == value
    assert not Guarded.ran


class Opaque:
    pass


class Grown(dict):
    pass


@pytest.mark.parametrize("value", [Opaque(), [1, (Opaque(),)], Grown(), len], ids=str)
def test_what_would_not_come_back_is_refused(value):
    with pytest.raises(FormatError, match="cannot be written as JSON: there is no JSON for the type"):
        texts([value])


def test_what_holds_itself_is_refused():
    value: list[object] = []
    value.append(value)
    with pytest.raises(FormatError, match="recursion"):
        texts([value])


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"$os.system": "true"}, "no type that is known"),
        ({"$bytes": "?"}, "base64"),
        ({"$tuple": 1}, "1 is no tuple"),
        ({"$set": [[1]]}, "is no set"),
        ({"$enum": ["os", "PathLike", "x"]}, "is no enum"),
        ({"$enum": ["not.loaded", "Color", "RED"]}, "is not there"),
        ({"$dataclass": ["collections", "Counter", {}]}, "is no dataclass"),
        ({"$namedtuple": [__name__, "Point", [1]]}, "is no namedtuple"),
        ({"$Decimal": "x"}, "is no Decimal"),
    ],
    ids=str,
)
def test_what_was_not_written_so_is_refused(found, why):
    with pytest.raises(ValueError, match=why):
        value_of(found)
