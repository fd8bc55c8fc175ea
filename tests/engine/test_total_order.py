"""Total orders as whole jobs: what the parts hold, which bytes they are, and what happens when something fails."""

from __future__ import annotations

import random
from collections import Counter

import pytest

import asyncmr
from asyncmr import Engine, Job, KeyTypeError, MapperError, UsageError, UserCodeError
from asyncmr.connectors.text import TextFiles
from asyncmr.jobs import sort
from asyncmr.pipeline.limits import Limits
from tests.engine.faulty import STAGED, collected
from tests.engine.test_worker_deaths import die
from tests.family import listed

NUMBERS = random.Random(7).choices(range(100_000), k=4000)


def keyed(_key, number):
    yield number, -number


def by_number(_key, line):
    yield int(line), None


def parts(folder):
    """What each part holds, without the empty ones at the end."""
    return [path.read_bytes() for path in sorted(folder.glob("part-*"))]


@pytest.fixture
def numbers(tmp_path):
    """A file of numbers, a line each, as a source of many splits."""
    path = tmp_path / "numbers"
    path.write_text("".join(f"{number}\n" for number in NUMBERS))
    return TextFiles(path, split_bytes=1000)


async def test_parts_are_ranges_of_about_equal_size_that_concatenate_into_order(numbers, tmp_path):
    async with Engine(workers=2, limits=STAGED) as engine:
        await engine.run(Job(mapper=by_number, sort="total", partitions=5), numbers, tmp_path / "out")
    found = parts(tmp_path / "out")
    assert [int(line) for line in b"".join(found).splitlines()] == sorted(NUMBERS)
    assert len(found) == 5
    assert all(len(part) > sum(map(len, found)) / 10 for part in found)


async def test_the_bytes_of_the_parts_depend_on_neither_workers_nor_memory(numbers, tmp_path):
    job = Job(mapper=by_number, sort="total", partitions=4)
    for workers, limits in ((1, Limits(fused=0)), (2, Limits(fused=0, round=1, shuffle=1)), (3, STAGED)):
        async with Engine(workers=workers, limits=limits) as engine:
            await engine.run(job, numbers, tmp_path / f"out{workers}")
    assert parts(tmp_path / "out1") == parts(tmp_path / "out2") == parts(tmp_path / "out3")


SHAPES = {
    "nothing": [],
    "one": [5],
    "equal": [5] * 500,
    "in order": range(500),
    "backwards": range(500, 0, -1),
    "few": [3, 1, 2],
    "mostly one": [*range(20), *[7] * 480],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("partitions", [1, 8])
@pytest.mark.parametrize("limits", [None, STAGED], ids=["small", "staged"])
async def test_inputs_of_every_shape_come_out_in_order(shape, partitions, limits):
    records = list(SHAPES[shape])
    job = Job(mapper=keyed, sort="total", partitions=partitions)
    result = await collected(job, records, executor="inline", limits=limits)
    assert list(result) == [(number, -number) for number in sorted(records)]


async def test_values_of_equal_keys_come_in_input_order_from_a_large_input_too():
    """More records of one key than a merge is fed at once, between others."""
    records = [(number % 3, number) for number in range(3000)]
    job = Job(mapper=lambda _, record: [record], sort="total", partitions=3)
    result = await collected(job, records, executor="inline", limits=Limits(fused=0, round=1))
    assert list(result) == sorted(records)


async def test_a_small_job_divides_its_keys_as_equally_as_can_be(tmp_path):
    async with Engine(workers=1) as engine:
        await engine.run(
            Job(mapper=keyed, sort="total", partitions=4),
            asyncmr.records(range(100, 0, -1)),
            tmp_path / "out",
        )
    assert [part.count(b"\n") for part in parts(tmp_path / "out")] == [25] * 4


@pytest.mark.parametrize("records", [NUMBERS, iter(NUMBERS)], ids=["list", "iterator"])
async def test_an_input_that_can_only_be_read_once_is_sorted_as_well(records):
    result = await collected(Job(mapper=keyed, sort="total"), records, per_task=100)
    assert [key for key, _ in result] == sorted(NUMBERS)
    assert result.report.stages["map"].records_in == len(NUMBERS)


async def test_a_later_step_is_sorted_by_what_the_earlier_made():
    last_digit = Job(mapper=lambda _, number: [(number % 10, number)], reducer=listed)
    largest = Job(mapper=lambda digit, group: [(max(group), digit)], sort="total", partitions=2)
    result = await collected(last_digit.then(largest), NUMBERS, per_task=500)
    want = sorted((max(number for number in NUMBERS if number % 10 == digit), digit) for digit in range(10))
    assert list(result) == want


async def test_counters_of_the_sample_do_not_count():
    def counting(_key, number):
        asyncmr.counter("test", "mapped").increment()
        yield number, None

    result = await collected(Job(mapper=counting, sort="total"), NUMBERS, per_task=500)
    assert result.report.counters == {"test": {"mapped": len(NUMBERS)}}
    assert result.report.stages["sample"].records_in == 62
    assert result.report.stages["map"].records_in == len(NUMBERS)


@pytest.mark.parametrize("stage", ["sample", "map", "reduce"])
async def test_a_worker_that_is_killed_changes_nothing(stage, trail):
    def mapper(_key, number):
        sampled = trail.first("sampled")  # the first record of all is mapped for the sample
        if (stage == "sample" and sampled) or (stage == "map" and number == NUMBERS[-1] and trail.first()):
            die()
        yield number, None

    def reducer(number, values):
        if stage == "reduce" and trail.first():
            die()
        yield number, sum(1 for _ in values)

    job = Job(mapper=mapper, reducer=reducer, sort="total", partitions=3)
    result = await collected(job, NUMBERS, per_task=500)
    assert list(result) == sorted(Counter(NUMBERS).items())
    assert [retried.retries for retried in result.report.stages.values()] == [
        int(name == stage) for name in result.report.stages
    ]


async def test_an_error_of_the_mapper_names_the_line_although_it_was_sampled_before(tmp_path):
    path = tmp_path / "numbers"
    path.write_text("1\n2\nthree\n4\n")
    async with Engine(workers=1, limits=STAGED) as engine:
        with pytest.raises(MapperError) as caught:
            await engine.collect(Job(mapper=by_number, sort="total"), path)
    assert (caught.value.path, caught.value.line, caught.value.stage) == (str(path), 3, "map")


@pytest.mark.parametrize("limits", [None, STAGED], ids=["small", "staged"])
@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([1, "a"], r"stage 'map'.*cannot be sorted.*int, str.*one type"),
        ([1j, 2j], r"stage 'map'.*cannot be sorted.*complex"),
        ([1.0, float("nan")], "NaN"),
    ],
)
async def test_keys_that_have_no_order_are_refused(records, complaint, limits):
    with pytest.raises(UserCodeError, match=complaint):
        await collected(
            Job(mapper=keyed_by_itself, sort="total"), records * 9, executor="inline", limits=limits
        )


def keyed_by_itself(_key, record):
    yield record, None


async def test_keys_that_are_none_are_refused():
    with pytest.raises(KeyTypeError, match="list"):
        await collected(Job(mapper=lambda _, n: [([n], None)], sort="total"), [1, 2], executor="inline")


async def test_lines_as_they_are_are_sorted_by_the_ready_made_job(tmp_path):
    path = tmp_path / "lines"
    path.write_text("b\n\na\tc\nb\n\u00e9\n")
    async with Engine(workers=1, executor="inline") as engine:
        await engine.run(sort, path, tmp_path / "out")
    assert b"".join(parts(tmp_path / "out")).decode() == "\na\\tc\nb\nb\n\u00e9\n"


async def test_without_a_reducer_pairs_are_brought_together_and_pass():
    for job in (
        Job(mapper=keyed_by_itself, partitions=4),
        Job(mapper=keyed_by_itself, sort=True, partitions=4),
    ):
        result = await collected(job, [3, 1, 2, 1, 3] * 20, executor="inline")
        keys = [key for key, _ in result]
        assert sorted(keys) == sorted([3, 1, 2, 1, 3] * 20)
        assert len([at for at in range(1, len(keys)) if keys[at] != keys[at - 1]]) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"sort": "total", "partitioner": hash}, "nothing for a partitioner"),
        ({"sort": "yes"}, "'yes' is none of"),
    ],
)
def test_arguments_without_meaning_are_refused(arguments, complaint):
    with pytest.raises(UsageError, match=complaint):
        Job(mapper=keyed, **arguments)
