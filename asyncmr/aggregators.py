"""Ready-made aggregators: monoids to pass as `Job(aggregator=...)`.

What several values tie for goes to the first of them in input order.
"""

from __future__ import annotations

from bisect import insort_left
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Literal

from asyncmr.errors import UsageError


class _Mark(Enum):
    """What stands in accumulators for no value yet, and for NaN; the same object in every process."""

    NOTHING = 0
    NAN = 1


_NOTHING, _NAN = _Mark.NOTHING, _Mark.NAN


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of a key's values.

    For example:

        Job(mapper=words, aggregator=Sum())
    """

    keeps_type: ClassVar[Literal[True]] = True

    def zero(self) -> Any:
        return 0

    def add(self, acc: Any, value: Any) -> Any:
        return acc + value

    def merge(self, left: Any, right: Any) -> Any:
        return left + right

    def finish(self, acc: Any) -> Any:
        return acc


@dataclass(frozen=True, slots=True)
class Count:
    """How many values a key has, whatever they are.

    For example:

        Job(mapper=words, aggregator=Count())
    """

    def zero(self) -> int:
        return 0

    def add(self, acc: int, value: object) -> int:
        return acc + 1

    def merge(self, left: int, right: int) -> int:
        return left + right

    def finish(self, acc: int) -> int:
        return acc


@dataclass(frozen=True, slots=True)
class _Extreme:
    """One of a key's values: the first, until another is to be preferred, as `add` says."""

    key: Callable[[Any], Any] | None = None
    keeps_type: ClassVar[Literal[True]] = True

    def zero(self) -> Any:
        return _NOTHING

    def add(self, acc: Any, value: Any) -> Any:
        raise NotImplementedError

    def merge(self, left: Any, right: Any) -> Any:
        return left if right is _NOTHING else self.add(left, right)

    def finish(self, acc: Any) -> Any:
        return acc


@dataclass(frozen=True, slots=True)
class Min(_Extreme):
    """The smallest of a key's values, or the one for which `key` is smallest.

    Values, or what `key` makes of them, must have an order; NaN has none.

    For example:

        Job(mapper=prices, aggregator=Min())
    """

    def add(self, acc: Any, value: Any) -> Any:
        if acc is _NOTHING:
            return value
        key = self.key
        less = value < acc if key is None else key(value) < key(acc)
        return value if less else acc


@dataclass(frozen=True, slots=True)
class Max(_Extreme):
    """The largest of a key's values, or the one for which `key` is largest.

    Values, or what `key` makes of them, must have an order; NaN has none.

    For example:

        Job(mapper=lines_by_author, aggregator=Max(key=len))
    """

    def add(self, acc: Any, value: Any) -> Any:
        if acc is _NOTHING:
            return value
        key = self.key
        more = value > acc if key is None else key(value) > key(acc)
        return value if more else acc


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a key's values, which are numbers. Its accumulator is their sum and how many they are.

    For example:

        Job(mapper=temperatures, aggregator=Mean())
    """

    def zero(self) -> tuple[float, int]:
        return 0, 0

    def add(self, acc: tuple[float, int], value: float) -> tuple[float, int]:
        total, count = acc
        return total + value, count + 1

    def merge(self, left: tuple[float, int], right: tuple[float, int]) -> tuple[float, int]:
        return left[0] + right[0], left[1] + right[1]

    def finish(self, acc: tuple[float, int]) -> float:
        return acc[0] / acc[1]


@dataclass(frozen=True, slots=True)
class TopK:
    """A list of the `k` largest of a key's values, the largest first, or of those for which `key` is largest.

    Values, or what `key` makes of them, must have an order; NaN has none. No more than `k` values wait in memory.

        Job(mapper=scores_by_game, aggregator=TopK(10, key=operator.itemgetter("points")))

    Raises:
        UsageError: when `k` is less than 1.
    """

    k: int
    key: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"TopK({self.k}) would keep nothing; k is at least 1")

    def zero(self) -> list[Any]:
        return []

    # The accumulator is in ascending order, and of equal values the last comes first: what must go is always acc[0].
    def add(self, acc: list[Any], value: Any) -> list[Any]:
        if len(acc) < self.k:
            insort_left(acc, value, key=self.key)
        elif self._more(value, acc[0]):
            del acc[0]
            insort_left(acc, value, key=self.key)
        return acc

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        for value in reversed(right):
            self.add(left, value)
        return left

    def finish(self, acc: list[Any]) -> list[Any]:
        return acc[::-1]

    def _more(self, one: Any, other: Any) -> Any:
        return one > other if self.key is None else self.key(one) > self.key(other)


@dataclass(frozen=True, slots=True)
class Distinct:
    """A list of a key's values without those that equal an earlier one; all of them wait in memory.

    Values must be hashable. NaN counts as one value.

    For example:

        Job(mapper=visitors_by_page, aggregator=Distinct())
    """

    def zero(self) -> dict[Any, None]:
        return {}

    def add(self, acc: dict[Any, None], value: Any) -> dict[Any, None]:
        # A NaN equals nothing, so that how many there are would depend on which tasks met them.
        acc.setdefault(value if value == value else _NAN)
        return acc

    def merge(self, left: dict[Any, None], right: dict[Any, None]) -> dict[Any, None]:
        for value in right:
            left.setdefault(value)
        return left

    def finish(self, acc: dict[Any, None]) -> list[Any]:
        return [float("nan") if value is _NAN else value for value in acc]
