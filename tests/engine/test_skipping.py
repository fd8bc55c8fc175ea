"""Jobs that skip what fails: everything else counts, once, and what was skipped is told, whoever ran it."""

from __future__ import annotations

import asyncio
import ctypes
import json
import operator
import os
import signal
import time
from typing import Any

import pytest

import asyncmr
from asyncmr import (
    CombinerError,
    Engine,
    Job,
    OutputError,
    ReducerError,
    SkipLimitError,
    TaskTimeout,
    UsageError,
    WorkerDied,
    batch,
)
from asyncmr.connectors.memory import Collected
from asyncmr.connectors.text import TextFiles
from asyncmr.kernel import guarding
from asyncmr.pipeline.limits import Limits
from tests.engine.faulty import STAGED, remainders
from tests.engine.test_backup_tasks import wait_for_ever, wait_until
from tests.engine.test_worker_deaths import killing
from tests.engine.trail import work
from tests.family import listed

LINES = [str(number) if number % 50 != 17 else f"bad {number}" for number in range(400)]
BAD = [(at + 1, line) for at, line in enumerate(LINES) if line.startswith("bad")]
GOOD = [int(line) for line in LINES if not line.startswith("bad")]


def numbers(_key, line):
    asyncmr.counter("test", "seen").increment()
    yield 0 if line.startswith("bad") else int(line) % 7, 0
    number = int(line)
    yield number % 7, number


def expected(good):
    return [(rest, [x for n in good if n % 7 == rest for x in (0, n)]) for rest in range(7)]


JOB = Job(mapper=numbers, reducer=listed, name="skips", partitions=3)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "lines"
    path.write_text("".join(f"{line}\n" for line in LINES))
    return path


async def skipping(job, source, **options):
    """Runs a job on an engine of its own that skips."""
    mine = {name: options.pop(name) for name in ("dead_letters",) if name in options}
    engine_options: dict[str, Any] = {"workers": 2, "on_error": "skip", "limits": STAGED} | options
    async with Engine(**engine_options) as engine:
        return await engine.collect(job, source, **mine)


def skipped(report):
    return [(one.record or one.key, one.error) for one in report.skipped]


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
@pytest.mark.parametrize("limits", [None, STAGED], ids=["small", "staged"])
async def test_records_that_raise_are_left_out_whole_and_told_with_their_lines(path, executor, limits):
    result = await skipping(JOB, path, executor=executor, limits=limits)
    assert sorted(result) == expected(GOOD)
    report = result.report
    assert report.counters == {"test": {"seen": len(GOOD)}}
    assert (report.stages["map"].skipped, report.skipped_in_all) == (len(BAD), len(BAD))
    assert [(one.stage, one.path, one.line, one.record) for one in report.skipped] == [
        ("map", str(path), line, text) for line, text in BAD
    ]
    assert {one.error for one in report.skipped} == {"ValueError"}
    assert report.as_dict()["skipped"][0]["message"] == report.skipped[0].message
    assert f"{path}, line 18: ValueError: invalid literal" in str(report)
    assert f"{len(BAD) - 3} more" in str(report)


async def test_a_job_in_which_nothing_fails_is_run_as_ever(path):
    job = Job(mapper=lambda _key, line: [(len(line), line)], reducer=listed)
    plain = await skipping(job, path, on_error="fail")
    result = await skipping(job, path)
    assert list(result) == list(plain)
    assert result.report.skipped == []
    assert all(stage.attempts == stage.tasks for stage in result.report.stages.values())


async def test_the_results_of_a_key_that_raises_are_left_out_whole():
    def reducer(key, values):
        asyncmr.counter("test", "reduced").increment()
        yield key, "first"
        if key == 3:
            raise KeyError("three")
        yield key, sum(values)

    job = Job(mapper=lambda _, n: [(n % 5, n)], reducer=reducer)
    for limits in (None, STAGED):
        result = await skipping(job, asyncmr.records(range(10)), limits=limits)
        pairs = [(key, value) for key in (0, 1, 2, 4) for value in ("first", 5 + 2 * key)]
        assert sorted(result, key=str) == sorted(pairs, key=str)
        assert result.report.counters == {"test": {"reduced": 4}}
        (only,) = result.report.skipped
        assert (only.stage, only.key, only.record, only.error) == ("reduce", "3", None, "KeyError")
        assert result.report.stages["reduce"].skipped == 1


async def test_a_key_with_more_values_than_memory_is_left_out_as_well():
    def reducer(key, values):
        for value in values:
            if key == 1 and value == 30_001:
                raise ValueError("late")
            if value % 1000 == 0:
                yield key, value

    job = Job(mapper=lambda _, n: [(n % 3, n)], reducer=reducer, partitions=1)
    limits = Limits(fused=0, whole=1000, round=4000)
    result = await skipping(job, asyncmr.records(range(40_000), records_per_task=10_000), limits=limits)
    assert sorted(value for _, value in result) == [n for n in range(0, 40_000, 1000) if n % 3 != 1]
    assert skipped(result.report) == [("1", "ValueError")]


async def test_a_record_that_raises_after_more_pairs_than_are_held(monkeypatch):
    monkeypatch.setattr(guarding, "MOST_PAIRS", 1000)

    def mapper(_key, record):
        for number in range(3000):
            yield record, number
        if record == 4:
            raise ValueError("at the end")

    result = await skipping(Job(mapper=mapper), asyncmr.records(range(8)), executor="thread")
    assert [key for key, _ in result] == [record for record in range(8) if record != 4 for _ in range(3000)]
    assert skipped(result.report) == [("4", "ValueError")]


def kill():
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def segfault():
    ctypes.string_at(0)


@pytest.mark.parametrize("die", [kill, segfault, lambda: os._exit(3)], ids=["SIGKILL", "segfault", "exit"])
@pytest.mark.parametrize("limits", [None, STAGED], ids=["small", "staged"])
async def test_a_record_that_kills_its_worker_is_found_and_left_out(die, limits):
    def mapper(_key, record):
        asyncmr.counter("test", "seen").increment()
        yield record % 7, record
        if record in (33, 38, 71):
            die()

    job = Job(mapper=mapper, reducer=listed, partitions=3)
    records = asyncmr.records(range(100), records_per_task=None if limits is None else 20)
    result = await skipping(job, records, limits=limits, retries=1)
    good = [n for n in range(100) if n not in (33, 38, 71)]
    assert sorted(result) == [(rest, [n for n in good if n % 7 == rest]) for rest in range(7)]
    assert skipped(result.report) == [(str(n), "WorkerDied") for n in (33, 38, 71)]
    assert result.report.counters == {"test": {"seen": len(good)}}


async def test_a_worker_killed_from_outside_speaks_against_no_record(trail):
    """Its record is left out only if as many attempts end at it as there are retries."""

    def mapper(_key, record):
        if record == 5 and any(map(trail.first, range(3))):  # unguarded, in its bundle, and alone
            kill()
        yield record, 1

    result = await skipping(Job(mapper=mapper), asyncmr.records(range(10)), retries=2)
    assert [key for key, _ in result] == list(range(10))
    assert result.report.skipped == []
    assert result.report.stages["map"].retries == 3


async def test_a_key_that_kills_its_worker_is_found_and_left_out():
    def reducer(key, values):
        if key in (2, 9):
            kill()
        yield key, list(values)

    job = Job(mapper=lambda _, n: [(n % 12, n)], reducer=reducer, partitions=2)
    for limits in (None, STAGED):
        result = await skipping(job, asyncmr.records(range(60)), limits=limits, retries=0)
        assert sorted(result) == [pair for pair in remainders(12, range(60)) if pair[0] not in (2, 9)]
        assert sorted(skipped(result.report)) == [("2", "WorkerDied"), ("9", "WorkerDied")]


async def test_what_kills_the_worker_outside_of_mapper_and_reducer_fails_the_job():
    def fold(a, b):
        kill()

    job = Job(mapper=lambda _, n: [(n % 2, n)], fold=fold)
    with pytest.raises(WorkerDied, match="3 attempts"):
        await skipping(job, asyncmr.records(range(10)), retries=2)


async def test_a_record_that_hangs_is_left_out(trail):
    def mapper(_key, record):
        if record == 7:
            time.sleep(600)
        yield record % 3, record

    job = Job(mapper=mapper, reducer=listed)
    result = await skipping(job, asyncmr.records(range(20)), task_timeout=1.0, retries=1)
    assert sorted(result) == [(rest, [n for n in range(20) if n % 3 == rest and n != 7]) for rest in range(3)]
    assert skipped(result.report) == [("7", "TaskTimeout")]
    assert "task_timeout=1 s" in result.report.skipped[0].message


async def test_a_task_that_is_slow_as_a_whole_is_no_records_fault():
    def mapper(_key, record):
        time.sleep(0.1)
        yield record, 1

    with pytest.raises(TaskTimeout, match=r"task_timeout=0\.6 s"):
        await skipping(
            Job(mapper=mapper), asyncmr.records(range(100)), task_timeout=0.6, retries=1, workers=1
        )


def _columns(lines):
    pairs = [pair for line in lines for pair in numbers(None, line)]
    return [key for key, _ in pairs], [value for _, value in pairs]


@batch(size=100)
def in_lists(_keys, lines):
    return _columns(lines)


@batch("bytes", size=100)
def in_bytes(_keys, block):
    return _columns(block.decode().removesuffix("\n").split("\n"))


@batch("arrow", size=100)
def in_tables(_keys, table):
    return _columns(table["value"].to_pylist())


@pytest.mark.parametrize("mapper", [in_lists, in_bytes, in_tables])
async def test_batches_go_on_without_their_bad_records(mapper, path):
    if mapper is in_tables:
        pytest.importorskip("pyarrow")
    result = await skipping(Job(mapper=mapper, reducer=listed), TextFiles(path, split_bytes=500))
    assert sorted(result) == expected(GOOD)
    assert result.report.counters == {"test": {"seen": len(GOOD)}}
    assert [(one.line, one.record) for one in result.report.skipped] == BAD


async def test_a_record_that_kills_a_batch_function_is_found_in_its_batch():
    @batch(size=200)
    def mapper(_keys, records):
        if 41 in records:
            kill()
        return records, None

    result = await skipping(Job(mapper=mapper), asyncmr.records(range(100), records_per_task=50), retries=1)
    assert [key for key, _ in result] == [n for n in range(100) if n != 41]
    assert skipped(result.report) == [("41", "WorkerDied")]


async def test_steps_of_a_chain_skip_each_for_itself():
    first = Job(mapper=lambda _, n: [(n % 10, 10 // (n - 3))], reducer=listed)

    def second(key, values):
        if key == 5:
            kill()
        yield key, sum(values) // (key - 8)

    for limits in (STAGED, None):
        result = await skipping(
            first.then(Job(mapper=second)), asyncmr.records(range(40)), limits=limits, retries=1
        )
        assert sorted(key for key, _ in result) == [key for key in range(10) if key not in (5, 8)]
        first_of_all, *others = [(one.stage, one.error) for one in result.report.skipped]
        assert first_of_all == ("1.map", "ZeroDivisionError")
        assert sorted(others) == [("2.map", "WorkerDied"), ("2.map", "ZeroDivisionError")]
        assert result.report.stages["2.map"].skipped == 2


async def test_a_total_order_is_made_of_what_is_left(tmp_path):
    lines = [str(number * 7919 % 5000) for number in range(5000)]
    bad = {10: "x", 2500: "dies", 4000: "y"}
    path = tmp_path / "numbers"
    path.write_text("".join(f"{bad.get(at, line)}\n" for at, line in enumerate(lines)))

    def mapper(_key, line):
        if line == "dies":
            kill()
        yield int(line), None

    job = Job(mapper=mapper, sort="total", partitions=4)
    source = TextFiles(path, split_bytes=4000)
    made = [await skipping(job, source, workers=workers, retries=1) for workers in (1, 2)]
    good = sorted(int(line) for at, line in enumerate(lines) if at not in bad)
    assert [key for key, _ in made[0]] == good
    assert list(made[0]) == list(made[1])
    assert skipped(made[0].report) == [("x", "ValueError"), ("dies", "WorkerDied"), ("y", "ValueError")]


async def test_a_slow_split_is_shared_although_some_of_its_records_fail():
    def mapper(_key, record):
        time.sleep(0.004)
        yield record, 1 // (record % 20)

    result = await skipping(Job(mapper=mapper), asyncmr.records(range(100)))
    assert [key for key, _ in result] == [n for n in range(100) if n % 20]
    assert skipped(result.report) == [(str(n), "ZeroDivisionError") for n in range(0, 100, 20)]
    assert result.report.stages["map"].records_in == 100


async def test_nothing_is_doubled_when_rivals_run(trail):
    def mapper(_key, record):
        asyncmr.counter("test", "mapped").increment()
        if record == 57:
            trail.mark()
            if trail.marks() <= 2:  # the attempt that failed, and the guarded one
                wait_until(lambda: trail.marks("b"))
            trail.mark("b")
        if record in (51, 58):
            trail.mark("b")
            raise ValueError("bad")
        yield record % 7, record

    job = Job(mapper=mapper, reducer=listed, partitions=4)
    records = asyncmr.records(range(100), records_per_task=10)
    result = await skipping(job, records, backup_tasks=True)
    good = [n for n in range(100) if n not in (51, 58)]
    assert sorted(result) == [(rest, [n for n in good if n % 7 == rest]) for rest in range(7)]
    assert skipped(result.report) == [("51", "ValueError"), ("58", "ValueError")]
    assert result.report.counters == {"test": {"mapped": 98}}


async def test_a_guarded_attempt_that_is_slow_is_overtaken_by_a_guarded_rival(trail):
    def mapper(_key, record):
        if record == 57 and trail.marks("f"):
            trail.mark("g")
            if trail.marks("g") == 1:
                wait_for_ever()
        if record == 53:
            trail.mark("f")
            raise ValueError("bad")
        yield record % 7, record

    job = Job(mapper=mapper, reducer=listed, partitions=4)
    result = await skipping(job, asyncmr.records(range(100), records_per_task=10), backup_tasks=True)
    assert skipped(result.report) == [("53", "ValueError")]
    assert result.report.stages["map"].rivals == 1
    assert sum(len(values) for _, values in result) == 99


def deadly(_key, line):
    if line == "120":
        kill()
    if line.startswith("bad"):
        raise ValueError("héllo")
    yield int(line) % 7, int(line)


def picky(key, values):
    if key == 4:
        raise RuntimeError("four")
    yield key, sum(values)


async def test_dead_letters_are_the_same_bytes_on_any_number_of_workers(path, tmp_path):
    job = Job(mapper=deadly, reducer=picky, name="letters", partitions=3)
    files = []
    for number, (workers, limits) in enumerate([(1, STAGED), (2, STAGED), (2, Limits())]):
        files.append(tmp_path / f"dead{number}.jsonl")
        await skipping(
            job,
            TextFiles(path, split_bytes=300),
            workers=workers,
            limits=limits,
            retries=1,
            dead_letters=files[-1],
        )
    first, *others = [file.read_bytes() for file in files]
    assert all(other == first for other in others)
    letters = [json.loads(line) for line in first.decode().splitlines()]
    assert letters[0] == {
        "job": "letters",
        "stage": "map",
        "path": str(path),
        "line": 18,
        "offset": path.read_text().index("bad"),
        "record": "bad 17",
        "error": "ValueError",
        "message": "héllo",
    }
    assert [letter["line"] for letter in letters[:-1]] == sorted([121, *(line for line, _ in BAD)])
    assert {letter["error"] for letter in letters if letter.get("line") == 121} == {"WorkerDied"}
    assert letters[-1] == {
        "job": "letters",
        "stage": "reduce",
        "key": "4",
        "error": "RuntimeError",
        "message": "four",
    }


async def test_killing_workers_at_ten_points_changes_neither_the_output_nor_the_dead_letters(trail, tmp_path):
    def mapper(_key, record):
        trail.mark()
        work()
        asyncmr.counter("test", "mapped").increment()
        if record % 40 == 3:
            raise ValueError(f"bad {record}")
        yield record % 97, record

    job = Job(mapper=mapper, reducer=listed, partitions=8)
    records = asyncmr.records(range(1500), records_per_task=50)
    async with Engine(workers=2, retries=20, on_error="skip", limits=STAGED) as engine:
        undisturbed = await engine.collect(job, records, dead_letters=tmp_path / "a")
        trail.clear()
        killer = asyncio.create_task(killing(engine, trail, 1500, 10))
        result = await engine.collect(job, records, dead_letters=tmp_path / "b")
        await killer
    assert list(result) == list(undisturbed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert skipped(result.report) == [(str(n), "ValueError") for n in range(3, 1500, 40)]
    assert result.report.counters == {"test": {"mapped": 1500 - len(result.report.skipped)}}
    assert result.report.stages["map"].retries > undisturbed.report.stages["map"].retries


async def test_a_dead_letter_holds_a_long_record_up_to_a_limit(tmp_path):
    (tmp_path / "in").write_text("x" * 70_000 + "\n" + "y" * 60_000 + "\n")
    file = tmp_path / "dead"
    result = await skipping(Job(mapper=numbers), tmp_path / "in", dead_letters=file)
    long, short = [json.loads(line) for line in file.read_text().splitlines()]
    assert (len(long["record"]), long["truncated"]) == (65_536, True)
    assert (len(short["record"]), "truncated" in short) == (60_000, False)
    assert [len(one.record or "") for one in result.report.skipped] == [200, 200]


async def test_dead_letters_of_a_job_that_skips_nothing_are_an_empty_file(path, tmp_path):
    job = Job(mapper=lambda _, line: [(line, 1)])
    await skipping(job, path, dead_letters=tmp_path / "dead")
    assert (tmp_path / "dead").read_bytes() == b""
    assert sorted(os.listdir(tmp_path)) == ["dead", "lines"]


class FullAtTheEnd(Collected):
    """A sink on a disk that is full when it commits."""

    async def commit(self) -> None:
        raise OutputError("the disk is full")


async def test_a_job_that_cannot_commit_shows_no_dead_letters(path, tmp_path):
    async with Engine(workers=1, on_error="skip") as engine:
        with pytest.raises(OutputError, match="the disk is full"):
            await engine._backend.execute(
                JOB, TextFiles(path), FullAtTheEnd(), dead_letters=tmp_path / "dead"
            )
    assert os.listdir(tmp_path) == ["lines"]


async def test_a_file_for_dead_letters_is_refused_where_it_exists_or_has_no_folder(path, tmp_path):
    for file, why in ((path, "exists already"), (tmp_path / "no" / "dead", "there is no folder")):
        with pytest.raises(OutputError, match=why):
            await skipping(JOB, path, dead_letters=file)
    assert os.listdir(tmp_path) == ["lines"]


async def test_more_than_the_limit_fails_the_job_with_the_first_and_tells_the_dead_letters(path, tmp_path):
    file = tmp_path / "dead"
    with pytest.raises(SkipLimitError, match=r"more than skip_limit=3 .*\n.*line 18: ValueError") as caught:
        await skipping(JOB, path, skip_limit=3, dead_letters=file)
    error = caught.value
    assert (error.skipped, error.limit, error.stage, error.path, error.line) == (4, 3, "map", str(path), 18)
    assert "in numbers" in str(error.__cause__)
    assert len(file.read_text().splitlines()) == 4
    assert sorted(os.listdir(tmp_path)) == ["dead", "lines"]
    result = await skipping(JOB, path, skip_limit=len(BAD))
    assert len(result.report.skipped) == len(BAD)


async def test_the_limit_may_be_a_share_of_the_records(path):
    share = len(BAD) / len(LINES)
    with pytest.raises(SkipLimitError, match=rf"{len(BAD)} were skipped of {len(LINES)} records"):
        await skipping(JOB, path, skip_limit=share - 0.001)
    assert (await skipping(JOB, path, skip_limit=share)).report.skipped_in_all == len(BAD)


async def test_killers_stop_at_the_limit_too(trail):
    def mapper(_key, record):
        trail.mark()
        kill()

    with pytest.raises(SkipLimitError) as caught:
        await skipping(Job(mapper=mapper), asyncmr.records(range(50)), skip_limit=2, retries=0, workers=1)
    assert caught.value.skipped == 3
    assert trail.marks() == 5  # once unguarded, once for their bundle, and once for each of the three


async def test_combiners_and_folds_fail_the_job_and_say_why():
    def fails(key, values):
        raise ValueError("half-way")

    job = Job(mapper=lambda _, n: [(0, n), (0, n)], combiner=fails, reducer=listed)
    with pytest.raises(CombinerError, match=r"half-way(.|\n)*on_error=\"skip\" leaves out.*the combiner"):
        await skipping(job, asyncmr.records(range(3)))
    with pytest.raises(ReducerError, match=r"on_error=\"skip\" leaves out.*the fold"):
        await skipping(Job(mapper=lambda _, n: [(0, "x"), (0, n)], fold=operator.sub), asyncmr.records([1]))


@pytest.mark.parametrize(
    "options",
    [
        {"on_error": "ignore"},
        {"skip_limit": 3},
        {"on_error": "skip", "skip_limit": -1},
        {"on_error": "skip", "skip_limit": 1.5},
        {"on_error": "skip", "skip_limit": True},
    ],
)
def test_options_without_a_meaning_are_refused(options):
    with pytest.raises(UsageError, match=r"on_error|skip_limit"):
        Engine(**options)


async def test_dead_letters_without_skipping_are_refused(path, tmp_path):
    with pytest.raises(UsageError, match="dead_letters"):
        await skipping(JOB, path, on_error="fail", dead_letters=tmp_path / "dead")


async def test_a_guarded_job_that_is_cancelled_leaves_nothing(trail, tmp_path):
    """No trail, no dead letters and no worker; the conftest looks for the rest."""

    def mapper(_key, record):
        if record == 5 and trail.marks():
            trail.mark()
            wait_for_ever()
        if record == 3:
            trail.mark()
            raise ValueError("bad")
        yield record, 1

    async with Engine(workers=1, on_error="skip") as engine:
        job = engine.collect(Job(mapper=mapper), asyncmr.records(range(10)), dead_letters=tmp_path / "dead")
        running = asyncio.create_task(job)
        await trail.reach(3)  # the failure, the guarded one, and the record at which that hangs
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert os.listdir(engine._backend._folder.open()) == ["lock"]
        assert os.listdir(tmp_path) == ["trail"]


async def test_run_and_stream_take_dead_letters_as_well(path, tmp_path):
    async with Engine(workers=2, on_error="skip") as engine:
        report = await engine.run(JOB, path, tmp_path / "out", dead_letters=tmp_path / "a")
        async with engine.stream(JOB, path, dead_letters=tmp_path / "b") as pairs:
            found = [pair async for pair in pairs]
    assert (report.skipped_in_all, pairs.report.skipped_in_all) == (len(BAD), len(BAD))
    assert sorted(found) == expected(GOOD)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
