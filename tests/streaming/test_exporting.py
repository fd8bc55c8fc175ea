"""What is exported, and imported for another job, is the same state; what cannot be is refused, and nothing is made."""

from __future__ import annotations

import asyncio
import io
import json
import operator
import os
import signal
import sqlite3
import sys
import tempfile
from collections import namedtuple
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import FormatError, InputError, Job, OutputError, RecordError, ResumeError, UsageError
from asyncmr.streaming import Imported, Stream, export_state, import_state, inspect_state
from tests.streaming.feeds import Instant, Listed
from tests.workers.talking import ROOT

Pair = namedtuple("Pair", "a b")


class Opaque:
    """What has no JSON."""


KEYS = {
    "a": "a", "one": 1, "real": 1.0, "true": True, "half": 0.5, "nan": float("nan"), "bytes": b"\xff", "none": None,
    "tuple": ("a", (1, float("nan"))), "decimal": Decimal("1.50"), "set": frozenset([1, "b"]), "pair": Pair(1, "x"),
    "big": 2**70, "surrogate": "\udcff",
}  # fmt: skip


def keyed(_key, line):
    return [(KEYS[word], word) for word in line.split()]


def counted(_key, line):
    return [(KEYS[word], 1) for word in line.split()]


def opaque(_key, line):
    return [(line, Opaque())]


COUNT = Job(mapper=counted, fold=operator.add, partitions=3)
DISTINCT = Job(mapper=keyed, aggregator=asyncmr.Distinct(), partitions=3)
MEAN = Job(mapper=counted, aggregator=asyncmr.Mean(), partitions=3)
BATCHES = st.lists(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=4), max_size=5)

# So little that all keys are cold, some, or none.
COLD = st.sampled_from([1, 1000, None])


async def run(folder, job, batches, **options):
    """A stream over these batches of words, to their end."""
    feed = Listed([f"{' '.join(batch)}\n".encode() for batch in batches])
    async with Stream(
        job, [feed], state=folder, executor="inline", workers=1, clock=Instant(), durable=False, **options
    ) as stream:
        await feed.given.wait()
        return await stream.get("a")


async def exported(folder) -> bytes:
    """The bytes of an export."""
    file = io.BytesIO()
    await asyncio.to_thread(export_state, folder, file)
    return file.getvalue()


async def imported(file, *arguments, **options) -> Imported:
    """What is said of an import of these bytes, or this file."""
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    return await asyncio.to_thread(import_state, source, *arguments, **options)


def entries(file):
    """The keys, and what is kept for them."""
    found = [json.loads(line) for line in file.splitlines()]
    return [(line["key"], line["accumulator"]) for line in found if "key" in line]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([COUNT, DISTINCT, MEAN]), BATCHES, st.sampled_from([None, "1m", "10s/5s"]), COLD)
async def test_an_import_is_exported_as_the_same_bytes(job, batches, window, cold):
    with tempfile.TemporaryDirectory() as room:
        await run(f"{room}/state", job, batches, window=window, state_memory=cold)
        first = await exported(f"{room}/state")
        done = await imported(first, f"{room}/new", job, window=window)
        assert await exported(f"{room}/new") == first
        assert done.differences == []
        assert inspect_state(f"{room}/new").keys == done.keys


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([COUNT, DISTINCT, MEAN]), BATCHES, st.integers(0, 5), st.integers(1, 9), COLD)
async def test_a_stream_goes_on_with_an_import_as_if_nothing_had_happened(
    job, batches, cut, partitions, cold
):
    with tempfile.TemporaryDirectory() as room:
        await run(f"{room}/old", job, batches[:cut], state_memory=cold)
        other = job.replace(partitions=partitions)
        await imported(await exported(f"{room}/old"), f"{room}/new", other, hash_key=7)
        await run(f"{room}/new", other, batches, hash_key=7, state_memory=cold)
        await run(f"{room}/whole", job, batches)
        assert entries(await exported(f"{room}/new")) == entries(await exported(f"{room}/whole"))


async def test_tokens_lines_set_aside_and_the_watermark_come_along(tmp_path):
    class Timed(Listed):
        async def batches(self, positions, around):
            async for batch in super().batches(positions, around):
                yield type(batch)(batch.data, "p", 1, 5.0, token="t", committed=batch.committed)

    windowing = "10s late 5s event ^([0-9]+)"
    feed = Timed([b"1000 a\n1100 b\nnever c\n"])

    def words(_key, line):
        return [(line.split()[1], 1)]

    job = Job(mapper=words, fold=operator.add)
    options: dict[str, Any] = {"window": windowing, "executor": "inline", "workers": 1, "clock": Instant()}
    async with Stream(job, [feed], state=tmp_path / "old", **options) as stream:
        await feed.given.wait()
    await imported(await exported(tmp_path / "old"), tmp_path / "new", job, window=windowing)
    before, after = inspect_state(tmp_path / "old"), inspect_state(tmp_path / "new")
    assert before.tokens == after.tokens == {"listed": 1}
    assert before.notes == after.notes
    assert before.as_dict()["windows"] == after.as_dict()["windows"]
    again = Timed([b"1000 a\n1100 b\nnever c\n"] * 2)
    async with Stream(job, [again], state=tmp_path / "new", **options) as stream:
        await again.given.wait()
        assert await stream.get("b") == 1
        assert await stream.set_aside() == [("untimed", b"never c\n")]
        assert stream.stats().epoch > before.epoch


async def test_keys_are_in_order_and_of_a_changed_one_the_last_value_counts(tmp_path):
    await run(tmp_path / "state", COUNT, [["one", "a"], ["true", "half"], ["real", "none"]])
    found = entries(await exported(tmp_path / "state"))
    assert found == [(1, 3), ("a", 1), (None, 1), (0.5, 1)]


async def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    await run(tmp_path / "state", Job(mapper=opaque, aggregator=asyncmr.Max(key=id)), [["a"], ["b"]])
    with pytest.raises(FormatError, match="the accumulator of the key 'a', of type tests"):
        export_state(tmp_path / "state", tmp_path / "file")
    assert os.listdir(tmp_path) == ["state"]
    await run(tmp_path / "other", COUNT, [["a"]])
    assert export_state(tmp_path / "other", tmp_path / "file").keys == 1
    with pytest.raises(OutputError, match="exists already"):
        export_state(tmp_path / "other", tmp_path / "file")


async def test_pickles_of_another_python_are_not_opened(tmp_path):
    await run(tmp_path / "state", COUNT, [["decimal"]])
    await run(tmp_path / "plain", COUNT, [["a"]])
    for name in ("state", "plain"):
        with sqlite3.connect(tmp_path / name / "state.sqlite") as database:
            database.execute("UPDATE notes SET value = replace(value, 'cpython-', 'cpython-2')")
        database.close()
    with pytest.raises(ResumeError, match="export it with that Python"):
        await exported(tmp_path / "state")
    assert b'{"pane": 0, "key": "a", "accumulator": 1}' in await exported(tmp_path / "plain")


@pytest.fixture
async def file(tmp_path: Path) -> bytes:
    await run(tmp_path / "old", COUNT, [["a", "tuple"], ["one"]])
    return await exported(tmp_path / "old")


def damaged(lines, number, old, new):
    return b"".join([*lines[: number - 1], lines[number - 1].replace(old, new), *lines[number:]])


async def test_a_file_that_is_cut_anywhere_is_refused_and_nothing_is_made(tmp_path, file):
    for at in range(0, len(file), 29):
        with pytest.raises(RecordError, match=r"nothing was imported"):
            await imported(file[:at], tmp_path / "new", COUNT)
    assert os.listdir(tmp_path) == ["old"]


@pytest.mark.parametrize(
    ("line", "old", "new", "why"),
    [
        (1, b'"asyncmr-state": 1', b'"asyncmr-state": 2', "line 1: the state was exported in the format 2"),
        (1, b"asyncmr-state", b"something", "line 1: it is not how an exported state begins"),
        (2, b'"listed"', b"3", "line 2: 3 is no str"),
        (3, b'"pane": 0', b'"pane": null', "line 3: None is no int"),
        (3, b'"key": 1', b'"key": [1]', "line 3: .* cannot be a key"),
        (3, b'"key": 1', b'"key": "x"', "line 4: the key 'a' comes twice, or out of order"),
        (3, b'"accumulator"', b'"acc"', "line 3: it has no 'accumulator'"),
        (4, b'"accumulator": 1', b'"accumulator": 2', "line 6: a line before it is not what was written"),
        (4, b"\n", b"\n\n", "line 5: it is no JSON"),
        (5, b"$tuple", b"$module", "line 5: 'module' is no type that is known here"),
        (6, b'"lines": 5', b'"lines": 6', "line 6: 5 lines come before it, and not 6"),
        (6, b"\n", b"\n{}\n", "line 7: something comes behind the last line"),
    ],
)
async def test_a_damaged_file_is_refused_with_its_line(tmp_path, file, line, old, new, why):
    changed = damaged(file.splitlines(keepends=True), line, old, new)
    assert changed != file
    (tmp_path / "file").write_bytes(changed)
    with pytest.raises(RecordError, match=why) as caught:
        await imported(tmp_path / "file", tmp_path / "new", COUNT)
    assert caught.value.path == str(tmp_path / "file")
    assert not (tmp_path / "new").exists()


async def test_a_file_that_was_edited_is_taken_without_its_checksum(tmp_path, file):
    lines = damaged(file.splitlines(keepends=True), 4, b'"accumulator": 1', b'"accumulator": 41').splitlines(
        True
    )
    last = json.loads(lines[-1]) | {"checksum": None}
    await imported(b"".join([*lines[:-1], json.dumps(last).encode()]), tmp_path / "new", COUNT)
    assert await run(tmp_path / "new", COUNT, [["a"]] * 3) == 42


async def test_a_folder_that_exists_is_refused(tmp_path, file):
    with pytest.raises(ResumeError, match="exists already"):
        await imported(file, tmp_path, COUNT)


async def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="could not read the exported state"):
        await imported(tmp_path / "none", tmp_path / "new", COUNT)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (None, "1m", "the windows was none and is 1m now"),
        ("1m", "2m", "the windows was 1m and is 2m now"),
        ("1m", None, "the windows was 1m and is none now"),
        ("10s event json:a", "10s event json:b", "the time of a record was json:a and is json:b now"),
    ],
)
async def test_panes_that_would_mean_something_else_are_refused(tmp_path, before, after, why):
    await run(tmp_path / "old", COUNT, [], window=before)
    with pytest.raises(ResumeError, match=why):
        await imported(await exported(tmp_path / "old"), tmp_path / "new", COUNT, window=after)


async def test_other_windows_of_the_same_panes_are_taken(tmp_path):
    await run(tmp_path / "old", COUNT, [["a"]], window="10s/5s")
    done = await imported(await exported(tmp_path / "old"), tmp_path / "new", COUNT, window="15s/5s")
    assert done.differences == ["the windows was 10s/5s and is 15s/5s now"]
    assert len(inspect_state(tmp_path / "new").windows) == 3


async def test_a_job_that_cannot_be_streamed_is_refused(tmp_path, file):
    with pytest.raises(UsageError, match="cannot be streamed"):
        await imported(file, tmp_path / "new", asyncmr.Job(mapper=counted))


ENDLESS = """
import os, sys
from asyncmr.jobs import wordcount
from asyncmr.streaming import import_state
import_state(sys.stdin.buffer, sys.argv[1], wordcount)
"""


async def test_an_import_that_is_killed_leaves_no_state_and_the_next_one_removes_what_it_left(tmp_path, file):
    lines = file.splitlines(keepends=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENDLESS, str(tmp_path / "new"), cwd=ROOT, stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.writelines([*lines[:2], b" " * (1 << 20)])
    await process.stdin.drain()  # most of it has been read then
    process.send_signal(signal.SIGKILL)
    await process.wait()
    left = set(os.listdir(tmp_path)) - {"old"}
    assert "new" not in left
    await imported(file, tmp_path / "new", COUNT)
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]
