"""Operators: what a step does with the values of a key, taken apart into what may be regrouped and what may not.

Whatever stands for a sublist of a key's values may be combined again with its neighbours, and in the end becomes
the results. Here that is done for one key at a time, apart from any table, so that the same values can be
reduced in one grouping and then in another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

from asyncmr.functions import Combiner, Fold, Reducer
from asyncmr.job import Step
from asyncmr.kernel.failures import check_pairs, name_of
from asyncmr.protocols import Aggregator


@dataclass(frozen=True, slots=True)
class Partial:
    """An accumulator among values."""

    acc: Any


class AnotherKey(Exception):
    """A combiner yielded this key, which is not the one that it was given."""


class Operator(Protocol):
    """What is done with the values of a key."""

    @property
    def name(self) -> str:
        """What a message calls it."""

    @property
    def regroups(self) -> bool:
        """Whether an engine may combine some of a key's values before the others."""

    @property
    def converts(self) -> bool:
        """Whether what stands for a value may be another than the value."""

    def combined(self, key: Any, some: list[Any]) -> list[Any]:
        """What stands for these neighbouring values from now on."""

    def result(self, key: Any, some: list[Any]) -> Any:
        """What the key gets."""

    def unfinished(self, key: Any, some: list[Any]) -> Any:
        """The result before it is finished. Where two of these are alike, the results count as alike."""


class FoldOperator:
    """A function of two values."""

    regroups = True
    converts = False

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self.name = f"the fold {name_of(fold)}"

    def combined(self, key: Any, some: list[Any]) -> list[Any]:
        return [reduce(self._fold, some)]

    def result(self, key: Any, some: list[Any]) -> Any:
        return reduce(self._fold, some)

    unfinished = result


class AggregateOperator:
    """An aggregator. What stands for some values is a `Partial`."""

    regroups = True
    converts = True

    def __init__(self, aggregator: Aggregator) -> None:
        self.aggregator = aggregator
        self.name = f"the aggregator {name_of(aggregator)}"

    def combined(self, key: Any, some: list[Any]) -> list[Any]:
        return [Partial(self.unfinished(key, some))]

    def result(self, key: Any, some: list[Any]) -> Any:
        return self.aggregator.finish(self.unfinished(key, some))

    def unfinished(self, key: Any, some: list[Any]) -> Any:
        aggregator, first = self.aggregator, some[0]
        acc = first.acc if isinstance(first, Partial) else aggregator.add(aggregator.zero(), first)
        for value in some[1:]:
            partial = isinstance(value, Partial)
            acc = aggregator.merge(acc, value.acc) if partial else aggregator.add(acc, value)
        return acc


class GroupOperator:
    """A reducer, and perhaps a combiner. `lone`: the combiner is also called for a single value, as it may be."""

    converts = True

    def __init__(self, combiner: Combiner | None, reducer: Reducer, *, lone: bool = False) -> None:
        self._combiner = combiner
        self._reducer = reducer
        self._lone = lone
        self.regroups = combiner is not None
        self.name = f"the reducer {name_of(reducer)}"
        if combiner is not None and combiner is not reducer:
            self.name = f"the combiner {name_of(combiner)} with {self.name}"
        elif combiner is not None:
            self.name += ", which is the combiner as well,"

    def combined(self, key: Any, some: list[Any]) -> list[Any]:
        if self._combiner is None or (len(some) == 1 and not self._lone):
            return some
        pairs = list(self._combiner(key, iter(some)))
        check_pairs("combiner", self._combiner, pairs)
        for got, _ in pairs:
            if got is not key and got != key:
                raise AnotherKey(got)
        return [value for _, value in pairs]

    def result(self, key: Any, some: list[Any]) -> Any:
        pairs = list(self._reducer(key, iter(some)))
        check_pairs("reducer", self._reducer, pairs)
        return pairs

    unfinished = result


def operator_of(step: Step, *, lone: bool = False) -> Operator | None:
    """The operator of a step; None where nothing is reduced. `lone`: as `GroupOperator` has it."""
    if step.fold is not None:
        return FoldOperator(step.fold)
    if step.aggregator is not None:
        return AggregateOperator(step.aggregator)
    if step.reducer is not None:
        return GroupOperator(step.combiner, step.reducer, lone=lone)
    return None
