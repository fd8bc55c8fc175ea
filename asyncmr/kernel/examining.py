"""Examining: a look for counterexamples to one operator.

What an engine may do to a key's values, combine any neighbours, any number of times, must not change the result;
nor, where an operator is said to be commutative, may their order. Each evaluation gets copies of the values and
raises no user counters, so that to look for a counterexample changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from asyncmr.counters import counting
from asyncmr.kernel.counterexamples import Counterexample, Kept, Law, Raised
from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.likeness import TOLERANCE, alike, magnitude
from asyncmr.kernel.operators import AggregateOperator, AnotherKey, Operator, Partial
from asyncmr.kernel.regrouping import Grouping, groupings, orders, reduced, shown

# The whole text is to be short enough to be told by a worker.
_BRIEF = 40


class Examiner:
    """Looks for counterexamples to one operator.

    `thorough`: in dozens of groupings, and whether the values that it gets stay as they are; otherwise in some of
    those that an engine makes.
    """

    def __init__(
        self,
        operator: Operator,
        *,
        commutative: bool = False,
        thorough: bool = False,
        tolerance: float = TOLERANCE,
    ) -> None:
        self._operator = operator
        self._commutative = commutative
        self._thorough = thorough
        self._tolerance = tolerance

    def smallest(self, key: Any, values: Sequence[Kept]) -> Counterexample | None:
        """A counterexample of as few of these values as can be found by leaving some out; None if there is none."""
        found = self.counterexample(key, values)
        if found is None:
            return None
        width = len(values) // 2
        while width:
            for start in reversed(range(0, len(values), width)):
                fewer = [*values[:start], *values[start + width :]]
                if fewer and (smaller := self.counterexample(key, fewer)) is not None:
                    found, values = smaller, fewer
                    break
            else:
                width //= 2
        return found

    def counterexample(self, key: Any, values: Sequence[Kept]) -> Counterexample | None:
        """How these values of a key are reduced to two results; None if they are not.

        Also None where all of them at once make the function raise: a job would tell of that by itself.
        """
        straight = tuple(range(len(values)))
        trial = _Trial(self._operator, key, values, self._tolerance)
        try:
            expected = trial.result(straight, straight)
            return None if isinstance(expected, Raised) else self._find(trial, straight, expected)
        except MemoryError:  # says nothing of the operator
            return None

    def _find(self, trial: _Trial, straight: tuple[int, ...], expected: Any) -> Counterexample | None:
        if self._thorough and (changed := trial.changed(straight)):
            return changed
        ways: list[tuple[Law, tuple[int, ...], Grouping]] = []
        if self._operator.regroups:
            some = groupings(len(straight), converts=self._operator.converts, thorough=self._thorough)
            ways += [("associative", straight, grouping) for grouping in some]
        if self._commutative:
            ways += [
                ("commutative", order, straight) for order in orders(len(straight), thorough=self._thorough)
            ]
        for law, order, grouping in ways:
            got = trial.result(order, grouping)
            if not trial.same(expected, got, order, grouping):
                again = trial.result(straight, straight)
                if not trial.same(expected, again, straight, straight):
                    return trial.told("repeatable", straight, straight, (expected, again))
                broken = got.law if isinstance(got, Raised) and got.law else law
                return trial.told(broken, order, grouping, (expected, got))
        again = trial.result(straight, straight)
        if not trial.same(expected, again, straight, straight):
            return trial.told("repeatable", straight, straight, (expected, again))
        if self._thorough and isinstance(self._operator, AggregateOperator):
            return trial.neutral(self._operator, straight)
        return None


class _Trial:
    """One operator and the values of one key."""

    def __init__(self, operator: Operator, key: Any, values: Sequence[Kept], tolerance: float) -> None:
        self._operator = operator
        self._key = key
        self._values = values
        self._tolerance = tolerance
        self._scale: float | None = None

    def result(self, order: Iterable[int], grouping: Grouping, *, finished: bool = True) -> Any:
        """What the key gets if its values come in this order, and meet in this grouping."""
        values = [self._values[at].copy() for at in order]
        with counting({}):
            try:
                return reduced(self._operator, self._key, values, grouping, finished=finished)
            except AnotherKey as error:
                return Raised(f"the key {excerpt(error.args[0])}", "keeps its key")
            except MemoryError:
                raise
            except (Exception, SystemExit) as error:
                return Raised.by(error)

    def same(self, expected: Any, got: Any, order: tuple[int, ...], grouping: Grouping) -> bool:
        """Whether two results are alike, or would be, if nothing magnified what rounding did to them."""
        if self._alike(expected, got):
            return True
        if isinstance(got, Raised) or not isinstance(self._operator, AggregateOperator):
            return False
        straight = tuple(range(len(self._values)))
        first = self.result(straight, straight, finished=False)
        return self._alike(first, self.result(order, grouping, finished=False))

    def changed(self, straight: tuple[int, ...]) -> Counterexample | None:
        """Whether the operator changes values in place."""
        before, copies, given = self._copies(), self._copies(), self._copies()
        with counting({}), suppress(Exception):  # what raises here is found as a result
            reduced(self._operator, self._key, given, straight)
            if self._operator.regroups:
                reduced(self._operator, self._key, given, (straight,))
        for was, copy, now in zip(before, copies, given, strict=True):
            # A value that is not like its own copy cannot be compared. An accumulator may be changed.
            if not isinstance(now, Partial) and _exactly(was, copy) and not _exactly(was, now):
                return self._made("leaves its values alone", ("before the call", "after it"), (was, now))
        return None

    def neutral(self, operator: AggregateOperator, straight: tuple[int, ...]) -> Counterexample | None:
        """Whether merging with zero() changes what an accumulator finishes to."""
        aggregator = operator.aggregator
        expected = self.result(straight, straight)
        for left in (True, False):
            with counting({}):
                acc = operator.unfinished(self._key, self._copies())
                zero = aggregator.zero()
                try:
                    got = aggregator.finish(
                        aggregator.merge(zero, acc) if left else aggregator.merge(acc, zero)
                    )
                except Exception as error:
                    got = Raised.by(error)
            if not self._alike(expected, got):
                inside = shown(straight, list(map(_brief, self._copies())))
                way = f"merge(zero(), ({inside}))" if left else f"merge(({inside}), zero())"
                return self._made("neutral zero", (inside, way), (expected, got))
        return None

    def told(
        self, law: Law, order: tuple[int, ...], grouping: Grouping, results: tuple[Any, Any]
    ) -> Counterexample:
        """The counterexample of two results: of the values as they came, and of this order and grouping."""
        brief = list(map(_brief, self._copies()))
        way = shown(grouping, [brief[at] for at in order])
        return self._made(law, (", ".join(brief), way), results)

    def _made(self, law: Law, ways: tuple[str, str], results: tuple[Any, Any]) -> Counterexample:
        first, second = map(excerpt, results)
        values = tuple(excerpt(_bare(value)) for value in self._copies())
        return Counterexample(self._operator.name, law, excerpt(self._key), values, ways, (first, second))

    def _copies(self) -> list[Any]:
        return [value.copy() for value in self._values]

    def _alike(self, first: Any, second: Any) -> bool:
        if _exactly(first, second):
            return True
        if self._scale is None:
            self._scale = magnitude(map(_bare, self._copies()))
        return alike(first, second, scale=self._scale, tolerance=self._tolerance)


def _bare(value: Any) -> Any:
    return value.acc if isinstance(value, Partial) else value


def _brief(value: Any) -> str:
    text = excerpt(_bare(value))
    return text if len(text) <= _BRIEF else text[: _BRIEF - 3] + "..."


def _exactly(first: Any, second: Any) -> bool:
    return alike(first, second, scale=0.0, tolerance=0.0)
