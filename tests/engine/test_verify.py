"""`Engine(verify=...)` fails jobs whose results would depend on how they were cut, and touches no others."""

from __future__ import annotations

import pytest

import asyncmr
from asyncmr import Engine, Job, OperatorError, UsageError, UserCodeError
from tests.engine.word_count import STAGED, WAYS
from tests.family import JOBS
from tests.operators import WRONG

NUMBERS = list(range(1, 41))


def by_parity(_key, number):
    yield ("odd" if number % 2 else "even"), number


def added(left, right):
    asyncmr.counter("fold", "calls").increment()
    return left + right


async def outcome(job, *, per_task=None, **engine):
    async with Engine(**engine) as opened:
        return await opened.collect(job, asyncmr.records(NUMBERS, records_per_task=per_task))


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("way", WAYS)
async def test_a_wrong_operator_fails_the_job(name, way):
    job, laws = WRONG[name]
    with pytest.raises(OperatorError) as caught:
        await outcome(
            job.replace(mapper=by_parity, name="wrong"),
            per_task=5 if way == "staged" else None,
            workers=1,
            executor="inline",
            limits=WAYS[way],
            verify=1.0,
        )
    error = caught.value
    assert error.law in laws
    assert error.job == "wrong"
    assert error.stage in ("map", "combine", "reduce")
    assert error.key in ("'odd'", "'even'")
    assert len(error.values) in (2, 3)
    assert error.results[0] != error.results[1]
    assert f"job 'wrong', stage '{error.stage}': " in str(error)
    assert all(text in str(error) for text in (error.key, *error.groupings, *error.results))


@pytest.mark.parametrize("name", ["difference", "mean as combiner", "backwards", "lists"])
async def test_a_wrong_operator_fails_the_job_in_processes(name):
    job, laws = WRONG[name]
    with pytest.raises(OperatorError) as caught:
        await outcome(job.replace(mapper=by_parity), per_task=5, workers=2, limits=STAGED, verify=1.0)
    error = caught.value
    assert error.law in laws
    assert isinstance(error.values, tuple)
    assert error.__cause__ is None


@pytest.mark.parametrize("name", ["difference", "mean as combiner"])
async def test_one_value_a_task_is_enough(name):
    job, _ = WRONG[name]
    with pytest.raises(OperatorError) as caught:
        await outcome(
            job.replace(mapper=by_parity), per_task=1, workers=2, executor="thread", limits=STAGED, verify=1.0
        )
    assert caught.value.stage in ("combine", "reduce")


def raising(kind):
    def fold(left, right):
        raise kind("no")

    def reducer(key, values):
        raise kind("no")

    return [Job(mapper=by_parity, fold=fold), Job(mapper=by_parity, combiner=reducer, reducer=reducer)]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, StopIteration, RecursionError, MemoryError])
@pytest.mark.parametrize("way", [0, 1], ids=["fold", "combiner"])
async def test_what_raises_is_told_as_without(kind, way):
    told = []
    for verify in (0.0, 1.0):
        with pytest.raises(UserCodeError) as caught:
            await outcome(raising(kind)[way], workers=1, executor="thread", verify=verify)
        told.append((type(caught.value), str(caught.value)))
    assert told[0] == told[1]


async def test_the_step_of_a_chain_is_named():
    job = JOBS["sum"].replace(mapper=by_parity).then(Job(mapper=lambda key, n: [("all", n)] * 3, fold=max))
    wrong = job.replace(fold=lambda a, b: a - b)
    with pytest.raises(OperatorError, match=r"stage '2\.map'"):
        await outcome(wrong, workers=1, executor="inline", verify=1.0)


async def test_a_wrong_operator_goes_unnoticed_where_nobody_looks():
    job = WRONG["difference"][0].replace(mapper=by_parity)
    assert len(await outcome(job, workers=1, executor="inline")) == 2


async def test_counters_do_not_count_what_runs_again():
    job = Job(mapper=by_parity, fold=added)
    counted = []
    for verify in (0.0, 1.0):
        result = await outcome(job, per_task=5, workers=1, executor="inline", limits=STAGED, verify=verify)
        counted.append((list(result), result.report.counters))
    assert counted[0] == counted[1]


async def test_part_files_are_the_same_bytes(tmp_path):
    job = Job(mapper=lambda _, n: [(n % 7, n / 7)], fold=added, partitions=3)
    written = []
    for verify in (0.0, 1.0):
        output = tmp_path / f"{verify}"
        async with Engine(workers=2, limits=STAGED, verify=verify) as engine:
            await engine.run(job, asyncmr.records(NUMBERS, records_per_task=3), output)
        written.append({path.name: path.read_bytes() for path in output.iterdir()})
    assert written[0] == written[1]


def test_commutative_says_nothing_of_a_job_that_reduces_nothing():
    with pytest.raises(UsageError, match="commutative=True"):
        Job(mapper=by_parity, commutative=True)


def test_commutative_stays_with_its_step():
    first = Job(mapper=by_parity, fold=max, commutative=True)
    chained = first.then(Job(mapper=by_parity, fold=max)).then(first.replace(partitions=2))
    assert [step.commutative for step in chained.steps] == [True, False, True]
