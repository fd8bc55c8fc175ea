"""What an async function is, where one may stand, and the values that it gets."""

from __future__ import annotations

import functools
import operator

import pytest

import asyncmr
from asyncmr import Job, UsageError, Values
from asyncmr.asynchronous import is_async
from asyncmr.testing import check_reducer


async def returns(_key, value):
    return [(value, 1)]


async def yields(key, _values):
    yield key, 1


class Called:
    async def __call__(self, key, value):
        return [(key, value)]

    async def method(self, key, value):
        yield key, value


def plain(key, value):
    yield key, value


@pytest.mark.parametrize(
    "function", [returns, yields, Called(), Called().method, functools.partial(returns, None)]
)
def test_async_functions_are_told_in_all_their_forms(function):
    assert is_async(function)
    assert Job(mapper=function).steps[0].mapper is function


@pytest.mark.parametrize("function", [plain, functools.partial(plain, 1), Called, None, "abc", operator.add])
def test_others_are_not(function):
    assert not is_async(function)


class AsyncAggregator(asyncmr.Sum):
    async def add(self, acc, value):
        return acc + value


@pytest.mark.parametrize(
    "wrong",
    [
        {"fold": returns},
        {"combiner": yields, "reducer": plain},
        {"partitioner": returns},
        {"aggregator": AsyncAggregator()},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_runs_in_workers_only_is_refused_when_it_is_async(wrong):
    with pytest.raises(UsageError, match="asynchronous"):
        Job(mapper=plain, **wrong)


@pytest.mark.parametrize(
    "wrong", [{"mapper": returns, "concurrency": 0}, {"mapper": plain, "concurrency": 4}]
)
def test_a_concurrency_without_meaning_is_refused(wrong):
    with pytest.raises(UsageError, match="concurrency"):
        Job(**wrong)


def test_an_async_reducer_is_not_checked():
    with pytest.raises(UsageError, match="event loop"):
        check_reducer(Job(mapper=plain, reducer=yields), [1, 2])
    with pytest.raises(UsageError, match="event loop"):
        check_reducer(Job(mapper=returns, fold=operator.add), records=["a"])


async def test_values_can_be_gone_through_more_than_once_in_both_ways():
    values = Values("'a'", [1, 2, 3])
    assert sum(values) == sum(values) == 6
    assert [value async for value in values] == list(values)


async def test_values_that_are_not_in_memory_are_refused_to_a_plain_loop_only():
    async def pieces():
        yield [1, 2]
        yield [3]

    values: Values[int] = Values("'a'", None, pieces)
    with pytest.raises(UsageError, match=r"'a' take more than 4 MiB.*async for"):
        sum(values)
    assert [[value async for value in values] for _ in range(2)] == [[1, 2, 3]] * 2
