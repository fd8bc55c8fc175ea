"""What the user got wrong, in words that help: functions that raise, pairs that are none, keys, values and closures."""

from __future__ import annotations

import asyncio
import operator
import threading

import pytest

import asyncmr
from asyncmr import (
    CombinerError,
    Engine,
    InputError,
    Job,
    KeyTypeError,
    MapperError,
    PartitionerError,
    ReducerError,
    UsageError,
    UserCodeError,
)
from tests.engine.word_count import STAGED
from tests.family import listed, total


def pairs(_key, record):
    return [("some key", record), ("some key", record)]


def in_tasks(records, limits):
    """One task, or some, as the limits are for."""
    return asyncmr.records(records, records_per_task=5 if limits else None)


async def test_the_error_holds_the_users_traceback_and_the_record():
    def mapper(_key, record):
        raise ValueError(f"cannot map {record}")

    async with Engine(workers=1) as engine:
        with pytest.raises(MapperError) as caught:
            await engine.collect(Job(mapper=mapper, name="traced"), asyncmr.records(["first record"]))
    text, cause = str(caught.value), str(caught.value.__cause__)
    assert "job 'traced', stage 'map'" in text
    assert "ValueError: cannot map first record" in text
    assert "'first record'" in text
    assert 'raise ValueError(f"cannot map {record}")' in cause
    assert "asyncmr/kernel" not in cause


async def test_the_error_gives_the_file_and_the_line(tmp_path):
    path = tmp_path / "numbers"
    path.write_text("1\n2\nthree\n4\n")
    async with Engine(workers=1) as engine:
        with pytest.raises(MapperError) as caught:
            await engine.collect(Job(mapper=lambda _, line: [(int(line), 1)]), path)
    error = caught.value
    assert (error.path, error.line, error.exception, error.excerpt) == (str(path), 3, "ValueError", "'three'")
    assert f"{path}, line 3" in str(error)


async def test_a_long_record_is_cut_in_the_error():
    async with Engine(workers=1, executor="inline") as engine:
        with pytest.raises(MapperError) as caught:
            await engine.collect(Job(mapper=lambda _, text: [(int(text), 1)]), asyncmr.records(["x" * 10**6]))
    assert len(caught.value.excerpt or "") < 1000
    assert len(str(caught.value)) < 10_000


async def test_the_error_counts_records_within_their_split():
    async with Engine(workers=2, limits=STAGED) as engine:
        with pytest.raises(MapperError) as caught:
            await engine.collect(
                Job(mapper=lambda _, n: [(1 // (n - 33), n)]), asyncmr.records(range(50), records_per_task=10)
            )
    assert (caught.value.record, caught.value.excerpt) == (3, "33")


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (5, "must yield pairs or return an iterable"),
        (None, "must yield pairs or return an iterable"),
        ([5], "5, which is not a .key, value. pair"),
        (["ab"], "'ab', which is not a .key, value. pair"),
        ([(1, 2, 3)], "which is not a .key, value. pair"),
        ([([1], 2)], "use a tuple for a list"),
    ],
)
async def test_a_mapper_that_gives_no_pairs_is_told_so(made, complaint):
    async with Engine(workers=1, executor="inline") as engine:
        with pytest.raises(MapperError, match=complaint):
            await engine.collect(Job(mapper=lambda _, record: made, reducer=total), asyncmr.records([1]))


@pytest.mark.parametrize("made", [5, None, [5], ["ab"]])
async def test_a_reducer_that_gives_no_pairs_is_told_so(made):
    job = Job(mapper=pairs, reducer=lambda key, values: made)
    async with Engine(workers=1, executor="inline") as engine:
        with pytest.raises(ReducerError):
            await engine.collect(job, asyncmr.records([1]))


@pytest.mark.parametrize("reducer", [listed, None], ids=["reduced", "only mapped"])
async def test_a_late_pair_that_is_none_is_found_too(reducer):
    def mapper(_key, record):
        yield from ((n, n) for n in range(1000))
        yield "late"

    async with Engine(workers=1, executor="inline") as engine:
        with pytest.raises(MapperError, match="'late', which is not"):
            await engine.collect(Job(mapper=mapper, reducer=reducer), asyncmr.records([1]))


async def test_a_combiner_that_yields_another_key_is_told_so():
    job = Job(mapper=pairs, combiner=lambda key, values: [("other", sum(values))], reducer=total)
    async with Engine(workers=1) as engine:
        with pytest.raises(CombinerError, match=r"'some key'.*'other'"):
            await engine.collect(job, asyncmr.records([1]))


@pytest.mark.parametrize(("part", "complaint"), [(9, "gave 9"), (-1, "gave -1"), ("a", "gave no integer")])
async def test_a_partitioner_that_gives_no_partition_is_told_so(part, complaint):
    job = Job(mapper=pairs, reducer=total, partitions=4, partitioner=lambda key, partitions: part)
    async with Engine(workers=1, executor="inline") as engine:
        with pytest.raises(PartitionerError, match=complaint):
            await engine.collect(job, asyncmr.records([1]))


async def test_a_key_that_has_only_an_identity_is_refused(engine):
    job = Job(mapper=lambda _, record: [(object(), record)], fold=operator.add, name="identities")
    with pytest.raises(KeyTypeError, match=r"identities.*map.*object"):
        await engine.collect(job, asyncmr.records([1]))


@pytest.mark.parametrize("reducer", [listed, None], ids=["reduced", "only mapped"])
async def test_a_value_that_cannot_be_pickled_is_named(reducer):
    job = Job(mapper=lambda _, record: [(record, threading.Lock())], reducer=reducer, name="locks")
    async with Engine(workers=1) as engine:
        with pytest.raises(UserCodeError, match=r"(?s)locks.*lock.*cannot be pickled"):
            await engine.collect(job, asyncmr.records([1]))


async def test_keys_that_cannot_be_compared_cannot_be_sorted(engine, limits):
    job = Job(mapper=lambda _, record: [(record, 1)], fold=operator.add, sort=True, partitions=1)
    with pytest.raises(UserCodeError, match=r"cannot be sorted.*int, str"):
        await engine.collect(job, in_tasks([1, "a", 2, "b"], limits))


async def test_keys_of_different_tasks_that_cannot_be_compared_cannot_be_sorted():
    job = Job(mapper=lambda _, record: [(record, 1)], fold=operator.add, sort=True, partitions=1)
    async with Engine(workers=2, limits=STAGED) as engine:
        with pytest.raises(UserCodeError, match=r"cannot be sorted.*'(int|str)'"):
            await engine.collect(job, asyncmr.records([1, "a"], records_per_task=1))


async def test_lambdas_and_closures_are_sent_to_the_workers():
    factor = 3
    job = Job(mapper=lambda _, n: [(n % 2, n * factor)], reducer=lambda key, values: [(key, sum(values))])
    async with Engine(workers=1) as engine:
        assert dict(await engine.collect(job, asyncmr.records(range(5)))) == {0: 18, 1: 12}


async def test_a_closure_that_cannot_be_sent_is_refused_before_anything_runs():
    lock = threading.Lock()

    def mapper(_key, record):
        with lock:
            yield record, 1

    async with Engine(workers=1) as engine:
        with pytest.raises(UsageError, match=r"job 'locked'.*cannot be pickled"):
            await engine.collect(Job(mapper=mapper, name="locked"), asyncmr.records([1]))


async def test_a_record_that_cannot_be_sent_is_refused():
    async with Engine(workers=1) as engine:
        with pytest.raises(InputError, match=r"record 1 of the input.*lock.*cannot be pickled"):
            await engine.collect(Job(mapper=pairs), asyncmr.records(["fine", threading.Lock()]))


async def test_an_iterable_that_raises_is_the_cause_of_an_input_error():
    def records():
        yield from range(5000)
        raise LookupError("the records ran out")

    async with Engine(workers=2) as engine:
        with pytest.raises(
            InputError, match=r"LookupError after 5,000 of them: the records ran out"
        ) as raised:
            await engine.collect(Job(mapper=pairs, fold=operator.add), asyncmr.records(records()))
    assert isinstance(raised.value.__cause__, LookupError)


async def test_a_job_that_fails_leaves_the_others_alone():
    failing = Job(mapper=lambda _, record: [(1 // record, 1)], reducer=total)
    fine = Job(mapper=pairs, reducer=total)
    async with Engine(workers=2, limits=STAGED) as engine:
        results = await asyncio.gather(
            *(
                engine.collect(
                    failing if number % 2 else fine, asyncmr.records(range(30), records_per_task=3)
                )
                for number in range(10)
            ),
            return_exceptions=True,
        )
    assert [type(result).__name__ for result in results] == ["Result", "MapperError"] * 5


def test_a_counter_cannot_be_raised_outside_a_task():
    with pytest.raises(UsageError, match=r"counter\('a', 'b'\).*outside a running task"):
        asyncmr.counter("a", "b").increment()
