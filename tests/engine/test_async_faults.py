"""Async functions that fail, hang, are cancelled or run again: the same promises as for those in workers."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from contextlib import suppress
from typing import Any

import pytest

import asyncmr
from asyncmr import Engine, Job, MapperError, ReducerError, SkipLimitError, TaskTimeout, UserCodeError
from asyncmr.connectors.text import TextFiles
from asyncmr.pipeline import async_function, portions
from tests.engine.at_rest import is_at_rest
from tests.engine.faulty import collected
from tests.engine.test_cancellation import SECONDS
from tests.family import listed

NUMBERS = range(60)


class Unreachable(Exception):
    """What a client raises; it could not be pickled."""

    def __init__(self, code):
        super().__init__(f"code {code}")
        self.lock = threading.Lock()


async def unreachable(_key, record):
    await asyncio.sleep(0)
    if str(record).endswith("17"):
        raise Unreachable(record)
    yield int(record) % 7, int(record)


async def summed(key, values):
    await asyncio.sleep(0)
    if key == 3:
        raise Unreachable(key)
    yield key, sum(values)


def by_sevens(_key, record):
    yield int(record) % 7, int(record)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(async_function, "FIRST_PAUSE", 0.0)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "numbers"
    path.write_text("".join(f"{number}\n" for number in NUMBERS))
    return path


async def run(job, source, **options):
    mine = {name: options.pop(name) for name in ("dead_letters",) if name in options}
    engine_options: dict[str, Any] = {"workers": 1, "executor": "inline", "retries": 1} | options
    async with Engine(**engine_options) as engine:
        try:
            return await engine.collect(job, source, **mine)
        finally:
            await is_at_rest(engine)


async def test_a_mapper_that_raises_is_told_with_its_line_and_the_exception_itself(path):
    with pytest.raises(MapperError) as caught:
        await run(Job(mapper=unreachable, name="fetch"), path)
    error = caught.value
    assert isinstance(error.__cause__, Unreachable)
    assert (error.path, error.line, error.excerpt) == (str(path), 18, "'17'")
    assert error.exception.endswith("Unreachable")
    for said in (
        "job 'fetch', stage 'map'",
        "unreachable raised Unreachable in 2 attempts",
        "code 17",
        "line 18",
    ):
        assert said in str(error)


async def test_a_record_is_told_with_its_own_line_while_earlier_files_are_still_at_work(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(portions, "RECORDS", 1)
    for name in "ab":
        (tmp_path / name).write_text(f"{name}0\n{name}1\n{name}2\n")

    async def only_b1_ends(_key, line):
        if line == "b1":
            raise OSError("no")
        await asyncio.Event().wait()

    files = TextFiles([tmp_path / "a", tmp_path / "b"], split_bytes=4)
    with pytest.raises(MapperError) as caught:
        await run(Job(mapper=only_b1_ends), files)
    assert (caught.value.path, caught.value.line) == (str(tmp_path / "b"), 2)


async def test_a_reducer_that_raises_is_told_with_its_key():
    with pytest.raises(ReducerError, match="summed raised Unreachable in 2 attempts for the key 3") as caught:
        await run(Job(mapper=by_sevens, reducer=summed), asyncmr.records(NUMBERS))
    assert isinstance(caught.value.__cause__, Unreachable)
    assert (caught.value.stage, caught.value.excerpt) == ("reduce", "3")


async def test_a_step_that_fails_has_its_number(path):
    chain = Job(mapper=by_sevens).then(Job(mapper=unreachable))
    with pytest.raises(MapperError, match=r"stage '2\.map'"):
        await run(chain, path)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "must yield pairs or return an iterable"),
        ([1, 2], "not a .key, value. pair"),
        ([([], 1)], "cannot be hashed"),
    ],
)
async def test_what_gives_no_pairs_is_told_so(made, said):
    async def mapper(_key, record):
        return made

    with pytest.raises(MapperError, match=said):
        await run(Job(mapper=mapper, reducer=listed), asyncmr.records([1]))


async def test_a_pair_that_cannot_be_written_is_named():
    async def mapper(_key, record):
        yield record, threading.Lock() if record == 2 else None

    with pytest.raises(MapperError, match=r"mapper gave \(2, <unlocked.*cannot be written") as caught:
        await run(Job(mapper=mapper), asyncmr.records([1, 2, 3]))
    assert "cannot be pickled" in str(caught.value.__cause__)


async def test_a_call_that_fails_at_first_counts_once():
    seen = set()

    async def flaky(_key, record):
        asyncmr.counter("test", "calls").increment()
        if record not in seen:
            seen.add(record)
            raise OSError("not now")
        yield record, None

    result = await run(Job(mapper=flaky), asyncmr.records(NUMBERS))
    assert [key for key, _ in result] == list(NUMBERS)
    assert result.report.counters == {"test": {"calls": len(NUMBERS)}}
    stage = result.report.stages["map"]
    assert (stage.retries, stage.attempts) == (len(NUMBERS), len(NUMBERS) + stage.tasks)


async def hangs(_key, record):
    if str(record) == "17":
        await asyncio.Event().wait()
    yield record, None


async def test_a_call_that_takes_too_long_is_told_with_its_line(path):
    with pytest.raises(
        TaskTimeout, match=r"hangs ran longer than task_timeout=0.05 s in 2 attempts"
    ) as caught:
        await run(Job(mapper=hangs), path, task_timeout=0.05)
    assert caught.value.attempts == 2
    assert caught.value.task == f"{path}, line 18"


@pytest.mark.parametrize("job", [Job(mapper=unreachable), Job(mapper=hangs)], ids=["raises", "hangs"])
async def test_records_that_fail_are_left_out_and_told(path, tmp_path, job):
    letters = tmp_path / "letters"
    result = await run(job, path, on_error="skip", task_timeout=0.05, dead_letters=letters)
    assert len(list(result)) == len(NUMBERS) - 1
    (skipped,) = result.report.skipped
    assert (skipped.path, skipped.line, skipped.record, skipped.stage) == (str(path), 18, "17", "map")
    assert result.report.stages["map"].skipped == 1
    (letter,) = map(json.loads, letters.read_text().splitlines())
    assert (letter["line"], letter["record"], letter["error"]) == (18, "17", skipped.error)
    assert skipped.error == ("TaskTimeout" if job.mapper is hangs else f"{__name__}.Unreachable")


async def test_keys_that_fail_are_left_out_and_told():
    job = Job(mapper=by_sevens, reducer=summed)
    result = await run(job, asyncmr.records(NUMBERS), on_error="skip")
    assert dict(result) == {rest: sum(range(rest, 60, 7)) for rest in range(7) if rest != 3}
    (skipped,) = result.report.skipped
    assert (skipped.key, skipped.stage, skipped.message) == ("3", "reduce", "code 3")


async def test_records_that_fail_are_told_in_input_order_whoever_failed_first():
    async def fails(_key, record):
        for _ in range(0 if record % 2 else 10):
            await asyncio.sleep(0)
        raise OSError(str(record))

    result = await run(Job(mapper=fails), asyncmr.records(NUMBERS), on_error="skip", retries=0)
    assert [skipped.message for skipped in result.report.skipped] == list(map(str, NUMBERS))


@pytest.mark.parametrize("limit", [5, 0.1])
async def test_more_failures_than_the_limit_fail_the_job(path, limit):
    async def fails(_key, record):
        raise Unreachable(record)

    with pytest.raises(SkipLimitError) as caught:
        await run(Job(mapper=fails), path, on_error="skip", skip_limit=limit)
    assert caught.value.line == 1
    assert caught.value.skipped > 5


async def test_cancelling_a_job_ends_its_calls_and_leaves_nothing():
    begun, cleaned = asyncio.Event(), []

    async def waits(_key, record):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(record)

    async with Engine(workers=1, executor="inline") as engine:
        running = asyncio.create_task(
            engine.collect(Job(mapper=waits, concurrency=5), asyncmr.records(NUMBERS))
        )
        await begun.wait()
        running.cancel()
        async with asyncio.timeout(SECONDS):
            with pytest.raises(asyncio.CancelledError):
                await running
        assert 1 <= len(cleaned) <= 5
        await is_at_rest(engine)


@pytest.mark.both_loops
async def test_a_call_that_swallows_its_cancellation_holds_nobody_up(caplog):
    begun = asyncio.Event()

    async def stubborn(_key, record):
        while True:
            begun.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async with Engine(workers=1, executor="inline") as engine:
        running = asyncio.create_task(engine.collect(Job(mapper=stubborn), asyncmr.records([1])))
        await begun.wait()
        running.cancel()
        async with asyncio.timeout(SECONDS):
            with pytest.raises(asyncio.CancelledError):
                await running
        await is_at_rest(engine)
    assert "stubborn: 1 of its calls went on" in caplog.text


async def test_no_worker_is_held_while_calls_wait():
    begun, gate = asyncio.Event(), asyncio.Event()

    async def waits(key, _values):
        begun.set()
        await gate.wait()
        yield key, None

    async with Engine(workers=1) as engine:
        waiting = asyncio.create_task(
            engine.collect(Job(mapper=by_sevens, reducer=waits), asyncmr.records(NUMBERS))
        )
        await begun.wait()
        assert len(list(await engine.collect(Job(mapper=by_sevens), asyncmr.records(NUMBERS)))) == len(
            NUMBERS
        )
        gate.set()
        assert len(list(await waiting)) == 7


class Server:
    """What an async function talks to: it fails for one record until it is mended, and knows what it was asked for."""

    def __init__(self):
        self.fails_at = None
        self.asked = []


SERVER = Server()  # a job that goes on must be what it was, and what a global holds may change


async def asks(key, value):
    asyncmr.counter("test", "calls").increment()
    shown = value if key is None else key
    SERVER.asked.append(shown)
    await asyncio.sleep(0)
    if shown == SERVER.fails_at:
        raise OSError("not now")
    return [(shown, value if key is None else "".join(value))]


@pytest.mark.parametrize("role", ["mapper", "reducer"])
async def test_what_was_committed_is_not_called_again(path, tmp_path, monkeypatch, role):
    monkeypatch.setattr(portions, "RECORDS", 5)
    SERVER.fails_at, SERVER.asked = 49 if role == "reducer" else "49", []
    partitioned = Job(mapper=lambda _, line: [(int(line), line)], partitioner=lambda key, _: key // 5)
    job = partitioned.replace(reducer=asks, partitions=12, concurrency=1)
    if role == "mapper":
        job = Job(mapper=asks, concurrency=1, reducer=lambda key, values: [(key, *values)], partitions=2)

    async def resumed():
        async with Engine(workers=1, executor="inline", retries=0) as engine:
            return await engine.run(job, TextFiles(path), tmp_path / "out", resume=tmp_path / "journal")

    with pytest.raises(UserCodeError, match="not now"):
        await resumed()
    before, SERVER.fails_at, SERVER.asked = SERVER.asked, None, []
    report = await resumed()
    name = "map" if role == "mapper" else "reduce"
    stage = report.stages[name]
    assert stage.resumed >= 5
    assert len(SERVER.asked) == len(NUMBERS) - 5 * stage.resumed
    assert len({*before, *SERVER.asked}) == len(NUMBERS)
    assert report.counters == {"test": {"calls": len(NUMBERS)}}
    parts = sorted((tmp_path / "out").glob("part-*"))
    lines = "".join(part.read_text() for part in parts).splitlines()
    assert sorted(lines, key=lambda line: int(line.split()[0])) == [
        f"{number}\t{number}" for number in NUMBERS
    ]
    assert (await resumed()).stages[name].resumed == stage.tasks


async def test_an_input_that_was_changed_is_noticed_when_a_job_goes_on(path, tmp_path, monkeypatch):
    monkeypatch.setattr(portions, "RECORDS", 5)
    SERVER.fails_at = "49"
    job = Job(mapper=asks, concurrency=1)
    before = os.stat(path)
    async with Engine(workers=1, executor="inline", retries=0) as engine:
        with pytest.raises(MapperError):
            await engine.run(job, path, tmp_path / "out", resume=tmp_path / "journal")
        path.write_text(path.read_text().replace("0\n1\n", "1\n0\n", 1))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(asyncmr.AsyncMRError, match="its input is not what it was"):
            await engine.run(job, path, tmp_path / "out", resume=tmp_path / "journal")


async def test_faults_of_workers_are_tried_again_beside_async_functions(tmp_path):
    """The step that passes pairs on loses its worker."""
    flag = str(tmp_path / "flag")

    def dies_once(key, values):
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            yield key, sum(values)
        else:
            os._exit(3)

    async def mapper(_key, record):
        return [(record % 3, record)]

    result = await collected(Job(mapper=mapper, reducer=dies_once), NUMBERS)
    assert dict(result) == {rest: sum(range(rest, 60, 3)) for rest in range(3)}
