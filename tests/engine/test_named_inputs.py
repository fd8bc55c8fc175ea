"""Jobs with several inputs, each with a mapper of its own: in any form, of any size, they are one job."""

from __future__ import annotations

import asyncio
import json
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import Engine, Job, MapperError, ResumeError, UsageError, batch
from asyncmr.connectors.text import TextFiles
from asyncmr.testing import check_reducer
from tests.engine.faulty import STAGED
from tests.engine.test_skipping import skipping
from tests.engine.trail import work
from tests.family import JOBS, letters, listed, many_letters, sizes, total
from tests.oracle import mapped, reduced
from tests.test_exactness import LIMITS, RECORDS


def users(_key, line):
    number, name = line.split(",")
    yield int(number), ("user", name)


def orders(_key, order):
    number, what = order
    yield number, ("order", what)


USERS = ["2,Bob", "1,Ann", "3,Cy"]
ORDERS = [(2, "ink"), (1, "pen"), (2, "paper"), (9, "tea")]
JOINED = {
    1: [("user", "Ann"), ("order", "pen")],
    2: [("user", "Bob"), ("order", "ink"), ("order", "paper")],
    3: [("user", "Cy")],
    9: [("order", "tea")],
}
JOIN = Job(mapper={"users": users, "orders": orders}, reducer=listed, name="join")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("".join(f"{line}\n" for line in USERS))
    return path


def sources(path):
    """In the other order, which does not matter."""
    return {"orders": asyncmr.records(ORDERS), "users": path}


@pytest.mark.parametrize("sort", [False, True, "total"])
@pytest.mark.parametrize("executor", ["process", "inline"])
@pytest.mark.parametrize("limits", [None, STAGED])
async def test_a_join_of_a_file_with_records_has_the_values_in_the_order_of_the_mappers(
    path, sort, executor, limits
):
    async with Engine(workers=2, executor=executor, limits=limits) as engine:
        result = await engine.collect(JOIN.replace(sort=sort), sources(path))
        assert dict(result) == JOINED
        backwards = JOIN.replace(mapper={"orders": orders, "users": users})
        assert dict(await engine.collect(backwards, sources(path)))[1] == JOINED[1][::-1]
    assert not sort or [key for key, _ in result] == sorted(JOINED)
    assert result.report.stages["map"].records_in == len(USERS) + len(ORDERS)


async def test_a_small_join_takes_one_task(path):
    async with Engine(workers=2) as engine:
        report = (await engine.collect(JOIN, sources(path))).report
        async with engine.start(JOIN, sources(path)) as running:
            assert dict(await running) == JOINED
    assert (report.stages["map"].tasks, report.stages["reduce"].tasks) == (1, 1)
    assert report.stages["reduce"].pairs_in == len(USERS) + len(ORDERS)


NAMED = {name: job for name, job in JOBS.items() if "partial" not in name}


@pytest.mark.parametrize("name", NAMED)
@given(
    first=RECORDS,
    second=RECORDS,
    limits=LIMITS,
    per_task=st.integers(1, 30),
    workers=st.integers(1, 3),
    swap=st.sampled_from([None, letters, many_letters]),
    sequence=st.booleans(),
)
@settings(max_examples=12, deadline=None)
async def test_two_inputs_give_what_one_behind_the_other_gives(
    name, first, second, limits, per_task, workers, swap, sequence
):
    job = NAMED[name]
    (mapper,) = job.steps[0].mappers
    other = swap if swap is not None and mapper in (letters, many_letters) else mapper
    both = job.replace(mapper={"b": mapper, "a": other})

    async def collected(**options):
        source = {
            "a": asyncmr.records(second if sequence else iter(second), records_per_task=per_task),
            "b": asyncmr.records(first),
        }
        async with Engine(executor="inline", **options) as engine:
            return list(await engine.collect(both, source))

    pairs = mapped(job, first) + mapped(job.replace(mapper=other), second)
    expected = sorted(reduced(job.steps[0], pairs), key=repr)
    got = await collected(workers=workers, limits=limits)
    assert sorted(got, key=repr) == expected
    assert got == await collected(workers=1)


@batch("bytes")
def counted(_keys, block):
    return {"lines": block.count(b"\n")}


def one(_key, _record):
    yield "records", 1


async def test_each_mapper_has_its_form_of_its_own_source(engine, path):
    job = Job(mapper={"lines": counted, "records": one}, fold=operator.add)
    result = await engine.collect(job, {"lines": path, "records": asyncmr.records([5] * 4)})
    assert dict(result) == {"lines": 3, "records": 4}
    with pytest.raises(UsageError, match="the input 'lines': counted is a batch"):
        await engine.collect(job, {"lines": asyncmr.records([1]), "records": path})


async def test_slow_records_of_all_inputs_spread_over_the_workers():
    def slowly(key, record):
        work(200_000)
        yield from sizes(key, record)

    job = Job(mapper={"a": slowly, "b": sizes, "c": slowly}, reducer=listed)
    words = [str(number) for number in range(60)]
    async with Engine(workers=2) as engine:
        source = {name: asyncmr.records([f"{name}{word}" for word in words]) for name in "abc"}
        result = await engine.collect(job, source)
    expected = [f"{name}{word}" for name in "abc" for word in words]
    assert dict(result) == {size: [word for word in expected if len(word) == size] for size in (2, 3)}
    assert result.report.stages["map"].records_in == 180


async def asked(key, record):
    await asyncio.sleep(0)
    return list(orders(key, record))


@pytest.mark.parametrize("sort", [False, "total"])
@pytest.mark.parametrize("reducer", [listed, None])
async def test_any_of_the_mappers_may_be_async(engine, path, sort, reducer):
    plain = Job(mapper={"users": users, "orders": orders}, reducer=reducer, sort=sort)
    late = plain.replace(mapper={"users": users, "orders": asked})
    expected, got = [await engine.collect(job, sources(path)) for job in (plain, late)]
    assert list(got) == list(expected)
    assert got.report.stages["orders.map"].records_in == len(ORDERS)
    with pytest.raises(MapperError, match="asked raised TypeError"):
        await engine.collect(late, {"users": path, "orders": asyncmr.records([5])})


async def test_only_the_first_job_of_a_chain_has_several_inputs(engine, path):
    sizes_of_keys = Job(mapper=lambda key, values: [(len(values), key)], reducer=listed)
    chain = JOIN.replace(sort="total").then(sizes_of_keys)
    assert dict(await engine.collect(chain, sources(path))) == {1: [3, 9], 2: [1], 3: [2]}
    with pytest.raises(UsageError, match="only the first job of a chain"):
        Job(mapper=letters).then(JOIN)


@pytest.mark.parametrize("limits", [None, STAGED])
async def test_what_is_skipped_is_told_by_its_own_file_and_line(tmp_path, limits):
    paths = {name: tmp_path / name for name in ("a", "b")}
    paths["a"].write_text("1\n2\n")
    paths["b"].write_text("3\nbad\n5\nworse\n")

    def numbers(_key, text):
        yield 0, int(text)

    job = Job(mapper={"r": numbers, "a": numbers, "b": numbers}, reducer=listed)
    letters_file = tmp_path / "letters"
    source = {**paths, "r": asyncmr.records(["7", "x"])}
    result = await skipping(job, source, limits=limits, dead_letters=letters_file)
    assert list(result) == [(0, [7, 1, 2, 3, 5])]
    told = [json.loads(line) for line in letters_file.read_text().splitlines()]
    assert [(letter["path"], letter["line"], letter["offset"], letter["record"]) for letter in told] == [
        (None, None, None, "x"),
        (str(paths["b"]), 2, 2, "bad"),
        (str(paths["b"]), 4, 8, "worse"),
    ]


async def test_a_record_that_fails_is_told_with_its_place_and_the_name_of_its_input(engine, path):
    with pytest.raises(MapperError, match="record 1, of the input 'orders'") as caught:
        await engine.collect(JOIN, {"users": path, "orders": asyncmr.records([(1, "pen"), 5])})
    assert (caught.value.path, caught.value.record) == (None, 1)
    path.write_text("1,Ann\nBob\n")
    with pytest.raises(MapperError, match=r"users\.csv, line 2, of the input 'users'") as caught:
        await engine.collect(JOIN, sources(path))
    assert (caught.value.path, caught.value.line) == (str(path), 2)


async def test_a_journal_knows_the_inputs_by_their_names(tmp_path, path):
    other = tmp_path / "other.csv"
    other.write_text("1,pen\n")
    job = Job(mapper={"users": users, "orders": users}, reducer=listed)
    source = {"users": TextFiles(path, split_bytes=6), "orders": other}
    journal, out = tmp_path / "journal", tmp_path / "out"
    async with Engine(workers=1, limits=STAGED) as engine:
        first = await engine.run(job, source, out, resume=journal)
        again = await engine.run(job, source, out, resume=journal)
        assert again.stages["map"].resumed == first.stages["map"].tasks == 4
        with pytest.raises(ResumeError, match="the mapper of the input 'orders'"):
            await engine.run(
                job.replace(mapper={"users": users, "orders": letters}), source, out, resume=journal
            )
        backwards = job.replace(mapper={"orders": users, "users": users})
        with pytest.raises(ResumeError, match="the order of the inputs"):
            await engine.run(backwards, source, out, resume=journal)


@pytest.mark.parametrize("mapper", [{}, {"": letters}, {1: letters}, {"a": None}, {"a": "letters"}])
def test_mappers_that_are_none_are_refused(mapper):
    with pytest.raises(UsageError, match="mapper"):
        Job(mapper=mapper)


def test_a_job_keeps_its_mappers_whatever_becomes_of_the_mapping():
    mappers = {"a": letters}
    job = Job(mapper=mappers)
    mappers.clear()
    assert (job.steps[0].mappers, job.title) == ((letters,), "a")


def test_check_reducer_takes_records_by_the_name_of_their_input():
    job = Job(mapper={"a": letters, "b": letters}, combiner=total, reducer=total)
    check_reducer(job, records={"a": ["to be"], "b": ["or not"]})
    with pytest.raises(UsageError, match=r"records=\{'a': \[\.\.\.\], 'b': \[\.\.\.\]\}"):
        check_reducer(job, records=["to be"])


@pytest.mark.parametrize("text_is", ["large", "small"])
async def test_the_parts_of_a_total_order_are_even_however_differently_the_inputs_are_sampled(
    tmp_path, text_is
):
    """A sample of a file stands for bytes, one of records for records; neither must outweigh the other."""
    numbers = {"large": range(0, 100_000, 5), "small": range(2000)}
    path = tmp_path / "numbers"
    path.write_text("".join(f"{number:06}\n" for number in numbers[text_is]))
    other = numbers["small" if text_is == "large" else "large"]
    source = {"file": path, "records": asyncmr.records([f"{number:06}" for number in other])}
    job = Job(mapper={"file": alone, "records": alone}, sort="total", partitions=8)
    async with Engine(workers=2) as engine:
        await engine.run(job, source, tmp_path / "out")
    sizes = [len(part.read_text().splitlines()) for part in sorted((tmp_path / "out").glob("part-*"))]
    assert sum(sizes) == sum(map(len, numbers.values()))
    assert max(sizes) < 2 * sum(sizes) / len(sizes)


def alone(_key, text):
    yield text, None
