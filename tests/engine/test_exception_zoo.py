"""Whatever a function of a job raises becomes a typed error that says where, and the engine stays usable."""

from __future__ import annotations

import asyncio
import threading

import pytest

import asyncmr
from asyncmr import CombinerError, Engine, Job, MapperError, PartitionerError, ReducerError, UserCodeError
from tests.engine.word_count import WAYS
from tests.family import total


class TwoArgumentsError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class KeywordOnlyError(Exception):
    def __init__(self, *, text):
        super().__init__(text)


class UnpicklableError(Exception):
    def __init__(self, text):
        super().__init__(text, threading.Lock())


class WordlessError(Exception):
    def __str__(self):
        raise ValueError("no words")


def endless(record):
    return endless(record)


def thrower(make):
    def throw(_record):
        raise make()

    return throw


ZOO = {
    "TwoArgumentsError": thrower(lambda: TwoArgumentsError("boom", 2)),
    "KeywordOnlyError": thrower(lambda: KeywordOnlyError(text="boom")),
    "UnpicklableError": thrower(lambda: UnpicklableError("boom")),
    "WordlessError": thrower(WordlessError),
    "SystemExit": thrower(lambda: SystemExit(0)),
    "KeyboardInterrupt": thrower(KeyboardInterrupt),
    "CancelledError": thrower(asyncio.CancelledError),
    "MemoryError": thrower(MemoryError),
    "StopIteration": thrower(StopIteration),
    "RecursionError": endless,
    "KeyError": lambda record: {}[record],
}


class Raises:
    """An aggregator one of whose methods raises."""

    def __init__(self, method, throw):
        setattr(self, method, lambda *arguments: throw(arguments[-1]))

    def zero(self):
        return 0

    def add(self, acc, value):
        return acc + value

    def merge(self, left, right):
        return left + right

    def finish(self, acc):
        return acc


def pairs(_key, record):
    return [("some key", record), ("some key", record)]


def with_mapper(throw):
    return Job(mapper=lambda _key, record: throw(record) if record == 7 else [(record, 1)], reducer=total)


def with_generator(throw):
    def mapper(_key, record):
        yield record, 1
        if record == 7:
            throw(record)

    return Job(mapper=mapper, reducer=total)


def with_map_only(throw):
    return Job(mapper=with_mapper(throw).mapper)


def with_combiner(throw):
    return Job(mapper=pairs, combiner=lambda key, values: throw(key), reducer=total)


def with_reducer(throw):
    return Job(mapper=pairs, reducer=lambda key, values: throw(key))


def with_reducing_generator(throw):
    def reducer(key, values):
        yield key, sum(values)
        throw(key)

    return Job(mapper=pairs, reducer=reducer)


def with_fold(throw):
    return Job(mapper=pairs, fold=lambda left, right: throw(left))


def with_partitioner(throw):
    return Job(mapper=pairs, reducer=total, partitioner=lambda key, partitions: throw(key))


def with_aggregator(method):
    return lambda throw: Job(mapper=pairs, aggregator=Raises(method, throw))


ROLES = {
    "mapper": (MapperError, "map", "7", with_mapper),
    "mapper that is a generator": (MapperError, "map", "7", with_generator),
    "mapper of a job that only maps": (MapperError, "map", "7", with_map_only),
    "combiner": (CombinerError, "map", "'some key'", with_combiner),
    "reducer": (ReducerError, "reduce", "'some key'", with_reducer),
    "reducer that is a generator": (ReducerError, "reduce", "'some key'", with_reducing_generator),
    "fold": (ReducerError, "map", "'some key'", with_fold),
    "partitioner": (PartitionerError, "map", "'some key'", with_partitioner),
    "aggregator's add": (ReducerError, "map", "'some key'", with_aggregator("add")),
    "aggregator's merge": (ReducerError, "combine", "'some key'", with_aggregator("merge")),
    "aggregator's finish": (ReducerError, "reduce", "'some key'", with_aggregator("finish")),
}


# A small job has one task, and nothing to merge.
CASES = [(role, way) for role in ROLES for way in WAYS if (role, way) != ("aggregator's merge", "small")]


async def error_of(running):
    """What a job fails with."""
    with pytest.raises(UserCodeError) as caught:
        await running
    return caught.value


def in_tasks(records, limits):
    return asyncmr.records(records, records_per_task=5 if limits else None)


@pytest.mark.parametrize("executor", ["process", "inline"])
@pytest.mark.parametrize(("role", "way"), CASES)
async def test_whatever_a_function_raises_becomes_an_error_that_says_where(role, way, executor):
    limits, records = WAYS[way], range(20)
    expected, stage, excerpt, job_of = ROLES[role]
    async with Engine(workers=2, executor=executor, limits=limits) as engine:
        for name, throw in ZOO.items():
            if name == "StopIteration" and "generator" in role:
                name = "RuntimeError"  # Python's own translation
            job = job_of(throw).replace(name="zoo")
            error = await error_of(engine.collect(job, in_tasks(records, limits)))
            assert name in str(error)
            assert type(error) is expected
            assert (error.job, error.stage, error.excerpt) == ("zoo", stage, excerpt)
            assert error.exception.rpartition(".")[2] == name
            assert name in str(error.__cause__)
        assert len(await engine.collect(Job(mapper=pairs), in_tasks(records, limits))) == 2 * len(records)
