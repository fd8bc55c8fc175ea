"""Async mappers and reducers: the same results as plain ones, whichever call ends first."""

from __future__ import annotations

import asyncio
import operator
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import Engine, Job
from asyncmr.connectors.text import TextFiles
from asyncmr.pipeline import calls, portions
from tests.engine.faulty import STAGED, collected
from tests.engine.late import PLAIN, LateMapper, LateReducer, late
from tests.engine.word_count import COUNT, TEXT, WORDS, source, swapped
from tests.family import letters, listed, total
from tests.test_exactness import LIMITS, RECORDS


@pytest.mark.parametrize("name", PLAIN)
@given(
    records=RECORDS,
    limits=LIMITS,
    per_task=st.integers(1, 30),
    partitions=st.integers(1, 9),
    executor=st.sampled_from(["inline", "thread"]),
    functions=st.sampled_from(["m", "r", "mr"]),
    concurrency=st.integers(1, 40),
    seed=st.integers(0, 9),
)
@settings(max_examples=15, deadline=None)
async def test_an_async_function_gives_the_pairs_of_its_plain_form(
    name, records, limits, per_task, partitions, executor, functions, concurrency, seed
):
    job = PLAIN[name]
    if job.steps[-1].shuffles:
        job = job.replace(partitions=partitions)
    changed = late(job, functions, seed, concurrency=concurrency)
    plain, got = [
        list(await collected(one, records, per_task=per_task, executor=executor, limits=limits, verify=1.0))
        for one in (job, changed)
    ]
    assert got == plain


@pytest.mark.both_loops
@pytest.mark.parametrize("functions", ["m", "r", "mr"])
async def test_with_worker_processes(engine, functions):
    assert dict(await engine.collect(late(COUNT, functions), source())) == WORDS


async def test_async_functions_stand_at_any_step_of_a_chain(engine):
    by_count = Job(mapper=swapped, reducer=listed)
    loud = Job(mapper=lambda count, words: [(count, sorted(word.upper() for word in words))])
    plain = COUNT.then(by_count).then(loud)
    chain = late(COUNT, "r").then(late(by_count, "mr")).then(late(loud, "m"))
    assert list(await engine.collect(chain, source())) == list(await engine.collect(plain, source()))


async def test_an_async_function_may_be_a_closure_over_what_cannot_be_pickled(engine):
    loop = asyncio.get_running_loop()

    async def thread(_key, line):
        return [(line, await loop.run_in_executor(None, len, line))]

    assert dict(await engine.collect(Job(mapper=thread), source())) == {line: len(line) for line in TEXT}


async def test_calls_overlap_up_to_the_concurrency(engine):
    begun, gate = [], asyncio.Event()

    async def waits(_key, record):
        begun.append(record)
        if len(begun) == 7:
            gate.set()
        await gate.wait()
        await asyncio.sleep(0)  # were there more than seven calls, the eighth would begin here at the latest
        running = len(begun)
        begun.remove(record)
        yield record, running

    result = await engine.collect(Job(mapper=waits, concurrency=7), source(range(70)))
    assert [record for record, _ in result] == list(range(70))
    assert max(running for _, running in result) == 7


async def test_each_call_counts_for_itself_and_once(engine):
    async def counts(_key, record):
        asyncmr.counter("test", "calls").increment()
        await asyncio.sleep(0)
        asyncmr.counter("test", f"of {record % 3}").increment(record)
        yield record % 3, record

    async def reduces(key, values):
        asyncmr.counter("test", "keys").increment()
        yield key, sum(values)

    result = await engine.collect(Job(mapper=counts, reducer=reduces), source(range(30)))
    sums = {rest: sum(range(rest, 30, 3)) for rest in range(3)}
    assert dict(result) == sums
    assert result.report.counters == {
        "test": {"calls": 30, "keys": 3} | {f"of {rest}": found for rest, found in sums.items()}
    }


async def test_the_report_has_a_stage_for_each_function(engine):
    report = (await engine.collect(late(COUNT, "mr"), source())).report
    stages = {
        name: (stage.records_in, stage.pairs_in, stage.pairs_out) for name, stage in report.stages.items()
    }
    words = sum(WORDS.values())
    assert stages["map"] == (len(TEXT), 0, words)
    assert stages["shuffle"][0] == words
    assert stages["reduce"][2] == len(WORDS)
    assert stages["group"][2] == stages["reduce"][1] >= len(WORDS)


async def test_a_text_file_is_cut_into_tasks_and_written_as_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(portions, "RECORDS", 10)
    (tmp_path / "in").write_text("".join(f"line {number}\n" for number in range(95)))
    job = Job(mapper=LateMapper(lambda _, line: [(line, None)]))
    async with Engine(workers=1, executor="inline") as engine:
        report = await engine.run(job, tmp_path / "in", tmp_path / "out")
    parts = sorted((tmp_path / "out").glob("part-*"))
    assert len(parts) == report.stages["map"].tasks == 10
    assert "".join(part.read_text() for part in parts) == (tmp_path / "in").read_text()
    assert report.stages["map"].bytes_in == (tmp_path / "in").stat().st_size


async def test_partitions_stay_parts_and_may_be_empty(tmp_path):
    job = Job(mapper=letters, reducer=LateReducer(listed), partitions=5)
    async with Engine(workers=1, executor="inline") as engine:
        await engine.run(job, asyncmr.records(["ab", "a"]), tmp_path / "async")
        await engine.run(job.replace(reducer=listed), asyncmr.records(["ab", "a"]), tmp_path / "plain")
    contents = [
        [part.read_text() for part in sorted((tmp_path / name).glob("part-*"))] for name in ("async", "plain")
    ]
    assert len(contents[0]) == 5
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    "job", [Job(mapper=LateMapper(letters)), Job(mapper=letters, reducer=LateReducer(total))]
)
async def test_no_records_make_no_pairs(engine, job):
    assert list(await engine.collect(job, source([]))) == []


async def test_pairs_can_be_streamed_while_later_calls_wait(engine):
    gate = asyncio.Event()

    async def last_waits(_key, record):
        if record == 3:
            await gate.wait()
        return [(record, None)]

    got = []
    async with engine.stream(Job(mapper=last_waits), source(range(4))) as pairs:
        async for key, _ in pairs:
            got.append(key)
            if key == 2:
                gate.set()
    assert got == [0, 1, 2, 3]


async def test_a_slow_call_stops_the_reading(engine):
    gate, drawn = asyncio.Event(), []

    def records():
        for number in range(4000):
            drawn.append(number)
            yield number

    async def waits(_key, record):
        if record == 0:
            await gate.wait()
        elif record == behind:
            gate.set()  # everything that may wait behind the first call has been called
        return []

    job = Job(mapper=waits, concurrency=2)
    behind = 2 * calls._BEHIND - 1
    seen = []

    async def watch():
        await gate.wait()
        seen.append(len(drawn))

    watching = asyncio.create_task(watch())
    await engine.collect(job, asyncmr.records(records(), records_per_task=10))
    await watching
    assert len(drawn) == 4000
    assert seen[0] < 2000


async def test_a_key_with_more_values_than_memory_is_read_as_the_reducer_goes_on(monkeypatch):
    monkeypatch.setattr("asyncmr.pipeline.groups.HELD_BYTES", 50_000)
    refused = []

    async def reducer(key, values):
        if key == "many":
            with pytest.raises(asyncmr.UsageError, match="async for"):
                sum(values)
            refused.append(key)
        yield key, [value async for value in values][-1]
        yield key, len([value async for value in values])

    records = [("few", 1), *(("many", number) for number in range(20_000)), ("few", 2), ("some", 3)]
    job = Job(mapper=lambda _, pair: [pair], reducer=reducer, partitions=1)
    got = await collected(job, records, per_task=5000, executor="inline")
    assert sorted(got) == [
        ("few", 2),
        ("few", 2),
        ("many", 19_999),
        ("many", 20_000),
        ("some", 1),
        ("some", 3),
    ]
    assert refused == ["many"]


async def test_nan_keys_and_keys_alike_stay_groups(engine):
    async def reducer(key, values):
        yield repr(key), list(values)

    records = [1, 1.0, True, float("nan"), "a", float("nan"), None]
    job = Job(mapper=lambda _, record: [(record, repr(record))], reducer=reducer)
    plain = job.replace(reducer=lambda key, values: [(repr(key), list(values))])
    assert list(await engine.collect(job, source(records))) == list(
        await engine.collect(plain, source(records))
    )


async def test_a_total_order_calls_an_async_mapper_once_for_each_record(engine):
    called = []

    async def mapper(_key, record):
        called.append(record)
        return [(record, None)]

    result = await engine.collect(Job(mapper=mapper, sort="total"), source(["b", "c", "a", "b"]))
    assert [key for key, _ in result] == ["a", "b", "b", "c"]
    assert sorted(called) == ["a", "b", "b", "c"]


async def test_a_fold_behind_an_async_mapper_is_combined_in_the_workers():
    job = Job(mapper=LateMapper(letters), fold=operator.add)
    report = (await collected(job, ["abc" * 50] * 20, limits=STAGED)).report
    assert report.stages["combine"].pairs_out < report.stages["combine"].pairs_in


async def test_progress_tells_of_bytes_and_of_partitions(tmp_path):
    (tmp_path / "in").write_text("a b\n" * 30)
    seen: list[asyncmr.Progress] = []
    job = late(COUNT, "mr", partitions=3)
    async with Engine(workers=1, executor="inline") as engine:
        await engine.collect(job, TextFiles(tmp_path / "in"), progress=seen.append)
    stages = {stage.name: (stage.done, stage.total, stage.unit) for stage in seen[-1].stages}
    assert stages["map"] == (120, 120, "B")
    assert stages["reduce"] == (3, 3, "partitions")


async def test_progress_goes_on_with_every_call(tmp_path):
    """A portion may take minutes, and one call of it seconds."""
    (tmp_path / "in").write_text("a\n" * 100)
    gate, begun, seen = asyncio.Event(), count(1), []

    async def waits(_key, _line):
        if next(begun) == 50:
            await gate.wait()
        return []

    def look(progress):
        for stage in progress.stages:
            seen.append((stage.done, stage.total, stage.running))
            if stage.done == 98:  # all of those before the one that waits
                gate.set()

    async with Engine(workers=1, executor="inline") as engine:
        await engine.collect(Job(mapper=waits, concurrency=1), TextFiles(tmp_path / "in"), progress=look)
    assert (98, 200, 1) in seen
    assert seen[-1] == (200, 200, 0)
