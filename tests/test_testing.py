"""`check_reducer` finds what depends on grouping, says so briefly, and leaves alone what does not."""

from __future__ import annotations

import operator
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import Job, MapperError, OperatorError, ReducerError, UsageError
from asyncmr.jobs import wordcount
from asyncmr.testing import check_reducer
from tests.family import Mean, letters, total
from tests.operators import INCREASING, RIGHT, WRONG, mean


@pytest.mark.parametrize("name", RIGHT)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_right_operators_pass_on_all_values(name, data):
    job, values = RIGHT[name]
    check_reducer(job, data.draw(st.lists(values, min_size=1, max_size=6)), groups=5)


@pytest.mark.parametrize("name", WRONG)
@given(values=INCREASING)
@settings(max_examples=25, deadline=None)
def test_wrong_operators_are_found_with_at_most_three_values(name, values):
    job, laws = WRONG[name]
    with pytest.raises(OperatorError) as caught:
        check_reducer(job, values, groups=5)
    assert caught.value.law in laws
    assert len(caught.value.values) <= 3


@pytest.mark.parametrize("name", RIGHT)
def test_right_operators_pass_on_a_strategy(name):
    job, values = RIGHT[name]
    check_reducer(job, strategy=values, groups=30)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_operators_are_found_by_a_strategy(name):
    job, laws = WRONG[name]
    with pytest.raises(OperatorError) as caught:
        check_reducer(job, strategy=st.integers(1, 1000))
    assert caught.value.law in laws
    assert len(caught.value.values) <= 3


def test_the_error_shows_the_key_the_values_and_both_results():
    with pytest.raises(OperatorError) as caught:
        check_reducer(fold=operator.sub, examples={"a": [20, 3, 1]})
    error = caught.value
    assert (error.key, error.values) == ("'a'", ("20", "3", "1"))
    assert (error.groupings, error.results) == (("20, 3, 1", "20, (3, 1)"), ("16", "18"))
    assert str(error).endswith("  key: 'a'\n  20, 3, 1 -> 16\n  20, (3, 1) -> 18")
    assert "the fold sub" in str(error)


def test_the_error_is_an_assertion_error_for_test_runners():
    with pytest.raises(AssertionError, match="associative"):
        check_reducer(combiner=mean, reducer=mean, examples=[1, 2, 6])


def test_a_counterexample_among_many_values_is_made_small():
    def fold(a, b):
        return a if (a, b) == (5, 7) else max(a, b)

    with pytest.raises(OperatorError) as caught:
        check_reducer(fold=fold, examples=[*range(4), 5, 7, 6, *range(4)])
    assert caught.value.values == ("5", "7", "6")


def test_what_goes_wrong_only_with_many_values_is_found_too():
    class Ten(Mean):
        def merge(self, left, right):
            return left[0] + right[0], min(left[1] + right[1], 10)

    check_reducer(aggregator=Ten(), examples=[1, 2, 3, 4], groups=0)
    with pytest.raises(OperatorError, match="another way"):
        check_reducer(aggregator=Ten(), examples=[1, 2, 3, 4])


@pytest.mark.parametrize(
    "functions",
    [
        {"fold": lambda a, b: a.update(b) or a},
        {"reducer": lambda key, values: [(key, [value.clear() for value in values])]},
        {"combiner": total, "reducer": lambda key, values: [(key, [value.popitem() for value in values])]},
    ],
    ids=["fold", "reducer", "reducer behind a combiner"],
)
def test_a_function_that_changes_its_values_is_found(functions):
    with pytest.raises(OperatorError) as caught:
        check_reducer(examples=[Counter("ab"), Counter("b")], **functions)
    assert caught.value.law == "leaves its values alone"


def test_an_aggregator_that_changes_a_value_is_found_but_may_change_its_accumulator():
    class First:
        def zero(self):
            return None

        def add(self, acc, value):
            return value if acc is None else acc + value

        def merge(self, left, right):
            return self.add(left, right) if right else left

        def finish(self, acc):
            return acc

    class FirstInPlace(First):
        def add(self, acc, value):
            if acc is None:
                return value
            acc += value
            return acc

    check_reducer(aggregator=First(), examples=[[1], [2]])
    with pytest.raises(OperatorError, match="changes the values"):
        check_reducer(aggregator=FirstInPlace(), examples=[[1], [2]])


def test_values_that_cannot_be_compared_are_not_said_to_change():
    class Opaque:
        __slots__ = ("__weakref__",)

        def __eq__(self, other):
            raise RuntimeError("nobody compares me")

        __hash__ = None  # type: ignore[assignment]

    check_reducer(reducer=lambda key, values: [(key, len(list(values)))], examples=[Opaque(), Opaque()])


def test_state_from_earlier_calls_is_found():
    seen = []

    def fold(a, b):
        seen.append(b)
        return a + b + len(seen)

    with pytest.raises(OperatorError) as caught:
        check_reducer(fold=fold, examples=[1, 2])
    assert caught.value.law == "repeatable"


def test_a_combiner_that_yields_another_key_is_found():
    with pytest.raises(OperatorError) as caught:
        check_reducer(combiner=lambda key, values: [(key + "!", sum(values))], reducer=total, examples=[1, 2])
    assert caught.value.law == "keeps its key"
    assert caught.value.results[1] == "the key 'key!'"


def test_an_aggregator_whose_zero_is_not_neutral_is_found():
    class Largest:
        def zero(self):
            return None

        def add(self, acc, value):
            return value if acc is None else max(acc, value)

        def merge(self, left, right):
            return max(left, right)

        def finish(self, acc):
            return acc

    with pytest.raises(OperatorError) as caught:
        check_reducer(aggregator=Largest(), examples=[1, 2])
    assert caught.value.law == "neutral zero"


def test_commutative_can_be_claimed_beside_the_functions():
    check_reducer(fold=operator.add, examples=["a", "b"])
    with pytest.raises(OperatorError, match="another order"):
        check_reducer(fold=operator.add, examples=["a", "b"], commutative=True)


def test_a_tolerance_can_be_given():
    with pytest.raises(OperatorError):
        check_reducer(fold=operator.add, examples=[0.1, 0.2, 0.3], tolerance=0)
    check_reducer(fold=operator.add, examples=[0.1, 0.2, 0.3])


def test_what_the_function_raises_for_the_examples_goes_through_with_a_note():
    with pytest.raises(TypeError) as caught:
        check_reducer(fold=operator.add, examples={"mixed": [1, "a"]})
    assert "'mixed' and the values [1, 'a']" in caught.value.__notes__[0]


def no_pairs(key, values):
    return [1]


def together(letter, position):
    yield "all", position


def test_a_reducer_that_yields_no_pairs_is_told_so():
    with pytest.raises(ReducerError, match=r"not a \(key, value\) pair"):
        check_reducer(reducer=no_pairs, examples=[1])


def test_counters_can_be_raised():
    def reducer(key, values):
        asyncmr.counter("keys", "all").increment()
        yield key, sum(values)

    check_reducer(reducer=reducer, combiner=total, examples=[1, 2])


def test_each_step_of_a_chain_is_checked_on_what_records_make_of_it():
    first = Job(mapper=letters, fold=operator.add)
    right = Job(mapper=together, reducer=mean)
    wrong = right.replace(combiner=mean, name="means")
    check_reducer(first.then(right), records=["abc", "cab"])
    with pytest.raises(OperatorError, match="job 'means', step 2: the reducer mean") as caught:
        check_reducer(first.then(wrong), records=["abc", "cab"])
    assert caught.value.key == "'all'"
    with pytest.raises(OperatorError, match="step 1: the fold sub"):
        check_reducer(first.replace(fold=operator.sub).then(right), records=["abc", "cab", "bca"])


def test_batch_mappers_make_groups_too():
    check_reducer(wordcount, records=["to be or", "not to be"])


def test_a_mapper_that_fails_on_the_records_is_told_so():
    with pytest.raises(MapperError, match="ZeroDivisionError"):
        check_reducer(Job(mapper=lambda _, n: [(1 // n, n)], fold=max), records=[0])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"examples": [1]}, "takes a job, or one of"),
        ({"job": Job(mapper=letters), "examples": [1]}, "reduces nothing"),
        ({"job": Job(mapper=letters, fold=max), "fold": max, "examples": [1]}, "not both"),
        ({"fold": max}, "something to try"),
        ({"fold": max, "examples": {"a": []}}, "something to try"),
        ({"fold": max, "strategy": 5}, "no Hypothesis strategy"),
        ({"combiner": total, "examples": [1]}, "a combiner needs a reducer"),
        (
            {
                "job": Job(mapper=letters, fold=max).then(Job(mapper=letters, fold=max)),
                "examples": [1],
            },
            "2 steps that reduce.*records=",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments, complaint):
    with pytest.raises(UsageError, match=complaint):
        check_reducer(**arguments)


def test_a_strategy_without_hypothesis_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(UsageError, match=r"pip install .asyncmr\[test\]"):
        check_reducer(fold=max, strategy=st.integers())
