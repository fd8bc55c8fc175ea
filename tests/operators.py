"""Operators that give the same result in every grouping, and operators that do not."""

import operator
from collections import Counter

from hypothesis import strategies as st

from asyncmr import Job
from asyncmr.kernel.passing import passed
from tests.family import Mean, listed, total

_SMALL = st.integers(-1000, 1000)


class Listed:
    """Changes its accumulators in place, as it may."""

    def zero(self):
        return []

    def add(self, acc, value):
        acc.append(value)
        return acc

    def merge(self, left, right):
        left += right
        return left

    def finish(self, acc):
        return sorted(acc)


class Backwards(Listed):
    """Merges in the wrong order."""

    def merge(self, left, right):
        return right + left

    def finish(self, acc):
        return acc


class Rounded(Mean):
    """Loses what it needs when it merges."""

    def merge(self, left, right):
        return left[0] + right[0], 2


class FromOne(Mean):
    """Begins with something."""

    def zero(self):
        return 1, 0


def mean(key, values):
    some = list(values)
    yield key, sum(some) / len(some)


def largest_two(key, values):
    for value in sorted(values)[-2:]:
        yield key, value


def counted(key, values):
    yield key, sum(1 for _ in values)


def _job(**functions):
    return Job(mapper=passed, **functions)


# A job, and values that its operator may get.
RIGHT = {
    "sum": (_job(fold=operator.add, commutative=True), _SMALL),
    "sum of floats": (_job(fold=operator.add, commutative=True), st.floats()),
    "sum of complex numbers": (_job(fold=operator.add), st.complex_numbers(allow_infinity=False)),
    "combined sum of floats": (_job(combiner=total, reducer=total), st.floats(allow_nan=False)),
    "largest": (_job(fold=max, commutative=True), _SMALL),
    "smallest": (_job(fold=min, commutative=True), st.floats(allow_nan=False)),
    "Counter": (_job(fold=operator.add, commutative=True), st.builds(Counter, st.text("abc", max_size=3))),
    "lists": (_job(fold=operator.add), st.lists(_SMALL, max_size=3)),
    "text": (_job(fold=operator.add), st.text(max_size=3)),
    "sets": (_job(fold=operator.or_, commutative=True), st.frozensets(_SMALL, max_size=3)),
    "the later of two dicts": (_job(fold=operator.or_), st.dictionaries(st.integers(0, 3), _SMALL)),
    "first": (_job(fold=lambda first, _: first), _SMALL),
    "last": (_job(fold=lambda _, last: last), _SMALL),
    "top two": (_job(combiner=largest_two, reducer=largest_two, commutative=True), _SMALL),
    "mean": (_job(aggregator=Mean(), commutative=True), st.floats(-1e9, 1e9)),
    "sorted": (_job(aggregator=Listed(), commutative=True), _SMALL),
    "a reducer that sees all": (_job(reducer=mean), _SMALL),
    "a reducer that keeps order": (_job(reducer=listed), _SMALL),
}

# A job of which any three values, each larger than the one before, are a counterexample; the laws that it breaks.
WRONG = {
    "difference": (_job(fold=operator.sub), {"associative"}),
    "mean of two": (_job(fold=lambda a, b: (a + b) / 2), {"associative"}),
    "lopsided": (_job(fold=lambda a, b: 2 * a + b), {"associative"}),
    "mean as combiner": (_job(combiner=mean, reducer=mean), {"associative"}),
    "count as combiner": (_job(combiner=counted, reducer=counted), {"associative"}),
    "combiner that another reducer reads": (_job(combiner=total, reducer=mean), {"associative"}),
    "list as combiner": (_job(combiner=listed, reducer=listed), {"associative"}),
    "backwards": (_job(aggregator=Backwards()), {"associative"}),
    "rounded": (_job(aggregator=Rounded()), {"associative", "neutral zero"}),
    "from one": (_job(aggregator=FromOne()), {"associative", "neutral zero"}),
    "first": (_job(fold=lambda first, _: first, commutative=True), {"commutative"}),
    "last": (_job(fold=lambda _, last: last, commutative=True), {"commutative"}),
    "lists": (_job(reducer=listed, commutative=True), {"commutative"}),
}

INCREASING = st.lists(st.integers(1, 1000), min_size=3, max_size=8, unique=True).map(sorted)
