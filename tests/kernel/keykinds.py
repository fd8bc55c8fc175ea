"""Keys of every kind, for tests: the user's types, and strategies."""

from collections import namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st


class Colour(Enum):
    RED = 1
    GREEN = 2


class Fruit(Enum):
    RED = 1


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Word(StrEnum):
    A = "a"


class Permission(Flag):
    READ = 1
    WRITE = 2


Pair = namedtuple("Pair", "left right")


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Slotted:
    x: Any


NAN = float("nan")
NEW_YORK = ZoneInfo("America/New_York")
EAST = timezone(timedelta(hours=2))

# Many are equal to others, so that pairs of them say something.
SCALARS: list[Any] = [
    *("", "a", "é", "\ud800", "a\nb", Word.A, "RED", "1"),
    *(b"", b"a", b"1"),
    *(None, True, False, 0, 1, -1, -2, 2, 10**400, 2**63, 2**63 - 1, -(2**63), 2**61 - 1),
    *(0.0, -0.0, 1.0, 0.1, 0.5, float(2**63), 1e300, float("inf"), float("-inf"), NAN, 5e-324),
    *(int(1e300), Fraction(1), Fraction(1, 2), Fraction(1, 3), Fraction(True, 10), Fraction(1, 3**900)),
    *(Decimal(1), Decimal("1.00"), Decimal("0.5"), Decimal("0.1"), Decimal("-0"), Decimal("Infinity")),
    *(Decimal("NaN"), Decimal("1e400"), Decimal("1e-400"), Decimal("1e999999"), Decimal("10e999998")),
    *(1 + 0j, 0.5 + 0j, 1j, complex(-0.0, 1), complex(0, NAN)),
    *(Level.LOW, Colour.RED, Colour.GREEN, Fruit.RED, Permission.READ, Permission.READ | Permission.WRITE),
    *(
        date(2024, 1, 1),
        datetime(2024, 1, 1),
        datetime(2024, 1, 1, fold=1),
        timedelta(1),
        timedelta(hours=24),
    ),
    *(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 2, tzinfo=EAST)),
    *(datetime(2024, 11, 3, 1, 30, tzinfo=NEW_YORK), datetime(2024, 11, 3, 1, 30, tzinfo=NEW_YORK, fold=1)),
    *(datetime(2024, 11, 3, 5, 30, tzinfo=UTC), datetime(2024, 11, 3, 6, 30, tzinfo=UTC)),
    *(datetime(2024, 6, 1, 8, tzinfo=NEW_YORK), datetime(2024, 6, 1, 12, tzinfo=UTC)),
    *(datetime.min.replace(tzinfo=EAST), datetime.max.replace(tzinfo=timezone(timedelta(hours=-2)))),
    *(time(1), time(1, fold=1), time(1, tzinfo=UTC), time(3, tzinfo=EAST), time(1, tzinfo=NEW_YORK)),
    *(UUID(int=1), UUID(int=2)),
]

scalars = (
    st.sampled_from(SCALARS)
    | st.text(st.characters(), max_size=3)
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.fractions()
)


def _holders(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    few = st.lists(inner, max_size=3)
    return (
        few.map(tuple)
        | few.map(frozenset)
        | st.builds(Pair, inner, inner)
        | st.builds(Point, inner, inner, st.sampled_from(["", "n"]))
        | st.builds(Slotted, inner)
    )


keys = st.recursive(
    scalars.filter(lambda key: not (isinstance(key, Decimal) and key.is_snan())), _holders, max_leaves=5
)


def contains_nan(key: Any) -> bool:
    """The oracle of `holds_nan`."""
    if isinstance(key, tuple | frozenset):
        return any(map(contains_nan, key))
    if isinstance(key, Point):
        return contains_nan(key.x) or contains_nan(key.y)
    if isinstance(key, Slotted):
        return contains_nan(key.x)
    return key != key
