"""Counterexamples: values of a key of which an operator makes two different results, and what they are made of."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, Literal

from asyncmr.kernel.failures import excerpt

Law = Literal[
    "associative", "commutative", "repeatable", "keeps its key", "leaves its values alone", "neutral zero"
]

_BROKEN: dict[Law, str] = {
    "associative": "gives another result when the same values are grouped in another way. An engine may combine any "
    "neighbouring values first: make it associative, or use a reducer without a combiner, which sees all of them",
    "commutative": "gives another result when the same values come in another order, although commutative=True says "
    "that their order does not matter",
    "repeatable": "gives another result when it is given the same values once more. It may depend on its arguments "
    "alone: not on what it kept from earlier calls, on the time, or on chance",
    "keeps its key": "yields another key than the one that it is given. What it yields stands for values of that key",
    "leaves its values alone": "changes the values that it is given, which others may still hold. Let it make a new "
    "value instead",
    "neutral zero": "gives another accumulator when it merges one with zero(), which has seen nothing",
}
_FLAT_TYPES = (str, bytes, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Kept:
    """A value put aside, of which every use gets a copy of its own. `size`: the bytes that it takes, if pickled."""

    copy: Callable[[], Any]
    size: int

    @classmethod
    def of(cls, value: Any) -> Kept:
        """Keeps a value, as bytes unless nobody can change it; raises what pickling it raises."""
        if type(value) in _FLAT_TYPES:
            return cls(lambda: value, len(value) if isinstance(value, str | bytes) else 32)
        data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        return cls(lambda: pickle.loads(data), len(data))

    @classmethod
    def even_if_unpicklable(cls, value: Any) -> Kept:
        """The same for values that no engine moves, such as a test may use."""
        try:
            return cls.of(value)
        except Exception:
            mine = deepcopy(value)
            return cls(lambda: deepcopy(mine), 0)


@dataclass(frozen=True, slots=True)
class Raised:
    """What a function raised in place of a result. `law`: the one that this alone breaks."""

    text: str
    law: Law | None = None

    @classmethod
    def by(cls, error: BaseException) -> Raised:
        """What stands for an exception, whatever its `str` does."""
        return cls(f"raised {excerpt(error)}")

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A law that `operator` breaks, and where: all as text. `groupings` are two ways to reduce the `values` of `key`,
    with what is combined first in parentheses, and `results` what came of them."""

    operator: str
    law: Law
    key: str
    values: tuple[str, ...]
    groupings: tuple[str, str]
    results: tuple[str, str]

    def __str__(self) -> str:
        ways = [f"  {way} -> {result}" for way, result in zip(self.groupings, self.results, strict=True)]
        return "\n".join([f"{self.operator} {_BROKEN[self.law]}", f"  key: {self.key}", *ways])

    def facts(self) -> dict[str, Any]:
        """The attributes of the error that tells of it."""
        facts = asdict(self)
        del facts["operator"]
        return facts
