"""Ready-made aggregators: monoids to pass as `Job(aggregator=...)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of a key's values.

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
