"""The file has what was committed, each change once, whatever is done to stream and file."""

from __future__ import annotations

import json
import operator
import os
import tempfile
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmr import Job, ResumeError, StorageError, UsageError
from asyncmr.streaming import Stream
from asyncmr.streaming.sinks import JsonLinesFile
from asyncmr.streaming.sinks.output_file import OutputFile
from tests.streaming.feeds import Instant, Listed


def words(_key, line):
    return [(word, 1) for word in line.split()]


COUNT = Job(mapper=words, fold=operator.add, partitions=5)


def stream(feeds, folder, path, **options):
    options = {"sinks": [JsonLinesFile(path)], "durable": False, **options}
    return Stream(
        COUNT, feeds, state=folder, executor="inline", workers=1, clock=Instant(), hash_key=1, **options
    )


async def run(batches, folder, path, **options):
    """Runs to the end; what was told meanwhile."""
    async with stream([Listed(batches)], folder, path, **options) as running:
        return [update async for update in running]


def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def written(updates):
    return [
        {"key": key, "value": value, "window": update.window, "final": update.final, "epoch": update.epoch}
        for update in updates
        for key, value in update.changes
    ]


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state")


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "out.jsonl")


async def test_the_file_has_what_is_told(state, out):
    updates = await run([b"to be", b"or not to be"], state, out, keepers=2)
    assert lines(out) == written(updates)
    assert len(lines(out)) == 6


async def test_of_windows_it_has_what_the_window_says(state, out):
    text = [b"10 a\n11 b\n", b"21 a\n", b"31 a\n"]
    updates = await run(text, state, out, window=r"10s final event ^(\S+)")
    assert lines(out) == written(updates)
    assert {line["window"] for line in lines(out)} == {10.0, 20.0, 30.0}
    assert all(line["final"] for line in lines(out))


async def test_a_durable_stream_writes_the_same(state, out):
    updates = await run([b"to be", b"or not"], state, out, durable=True)
    assert lines(out) == written(updates)


class Torn(Exception):
    """What a crash is to a process that is not there any more."""


class TornFile(OutputFile):
    """Crashes when the n-th write was made in part."""

    left = 0
    share = 0.0

    def append(self, parts):
        data = b"".join(parts)
        type(self).left -= 1
        if type(self).left == 0:
            super().append([data[: int(len(data) * self.share)]])
            raise Torn
        super().append([data])


class TornLines(JsonLinesFile):
    files = TornFile


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=st.lists(st.text("ab ", min_size=1, max_size=6).map(str.encode), min_size=1, max_size=5),
    crashes=st.lists(st.tuples(st.integers(1, 5), st.floats(0, 1), st.integers(1, 3)), max_size=4),
)
async def test_torn_anywhere_any_number_of_times_it_is_what_an_unharmed_stream_writes(batches, crashes):
    with tempfile.TemporaryDirectory() as room:
        for TornFile.left, TornFile.share, keepers in [*crashes, (0, 0.0, 1)]:
            with suppress(StorageError):
                sinks = [TornLines(f"{room}/torn")]
                await run(batches, f"{room}/state", f"{room}/torn", sinks=sinks, keepers=keepers)
        await run(batches, f"{room}/other", f"{room}/whole")
        assert lines(f"{room}/torn") == lines(f"{room}/whole")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    times=st.lists(st.integers(10, 60), min_size=1, max_size=6).map(sorted),
    crashes=st.lists(st.tuples(st.integers(1, 4), st.floats(0, 1)), max_size=4),
)
async def test_torn_anywhere_it_tells_each_window_once_when_it_is_final(times, crashes):
    batches = [f"{time} a b\n".encode() for time in times]
    options = {"window": r"10s final event ^(\S+)"}
    with tempfile.TemporaryDirectory() as room:
        for TornFile.left, TornFile.share in [*crashes, (0, 0.0)]:
            with suppress(StorageError):
                sinks = [TornLines(f"{room}/torn")]
                await run(batches, f"{room}/state", f"{room}/torn", sinks=sinks, **options)
        changes = [(line["window"], line["key"], line["value"]) for line in lines(f"{room}/torn")]
    windows = Counter(float(time // 10 * 10) for time in times)
    words = [(window, word, n) for window, n in windows.items() for word in "ab"]
    assert sorted(change for change in changes if not change[1].isdigit()) == sorted(words)


async def test_what_the_file_had_before_stays(state, out):
    with open(out, "w") as file:
        file.write('{"mine": 1}\n')
    updates = await run([b"a"], state, out)
    assert lines(out) == [{"mine": 1}, *written(updates)]


async def test_a_renamed_file_ends_with_the_epoch_and_a_new_one_begins(state, out):
    class Renaming(JsonLinesFile):
        async def write(self, epoch, blocks):
            if epoch == 2:
                os.rename(out, f"{out}.1")
            return await super().write(epoch, blocks)

    updates = await run([b"a", b"b", b"c"], state, out, sinks=[Renaming(out)])
    assert lines(f"{out}.1") == written(updates[:2])
    assert lines(out) == written(updates[2:])


async def test_after_a_rename_while_the_stream_was_down_a_new_file_begins(state, out):
    first = await run([b"a"], state, out)
    os.rename(out, f"{out}.1")
    with open(f"{out}.1", "a") as file:
        file.write("what was not committed")
    second = await run([b"a", b"b"], state, out)
    assert (lines(f"{out}.1"), lines(out)) == (written(first), written(second))


async def test_a_file_that_was_removed_while_the_stream_ran_is_made_again(state, out):
    class Removing(JsonLinesFile):
        async def write(self, epoch, blocks):
            if epoch == 2:
                os.remove(out)
            return await super().write(epoch, blocks)

    updates = await run([b"a", b"b", b"c"], state, out, sinks=[Removing(out)])
    assert lines(out) == written(updates[1:])


def cut(path):
    os.truncate(path, 5)


def replaced(path):
    os.remove(path)
    with open(path, "w") as file:
        file.write("something else\n" * 100)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (cut, "was cut or replaced: it has 5 bytes, and 69 bytes were committed. Put that file back"),
        (replaced, "was changed or replaced: it does not begin with what was committed, 69 bytes"),
        (os.remove, "is gone, of which 69 bytes were committed"),
    ],
)
async def test_a_file_that_is_not_what_was_committed_is_refused(harm, message, state, out):
    await run([b"a"], state, out)
    harm(out)
    with pytest.raises(ResumeError, match=message):
        await run([b"a", b"b"], state, out)


@pytest.mark.parametrize(("size", "told"), [(0, "cut it"), (500, "writes to it, too")])
async def test_a_file_that_somebody_else_changes_ends_the_stream(size, told, state, out):
    class Harmed(JsonLinesFile):
        async def write(self, epoch, blocks):
            if epoch == 2:
                os.truncate(out, size)
            return await super().write(epoch, blocks)

    with pytest.raises(StorageError, match=told) as caught:
        await run([b"a", b"b"], state, out, sinks=[Harmed(out)])
    assert "epoch 2 is not committed" in caught.value.__notes__[0]


async def test_two_streams_do_not_write_to_one_file(tmp_path, state, out):
    async with stream([], state, out):
        with pytest.raises(UsageError, match="another stream is writing to the file"):
            await run([], str(tmp_path / "other"), out)


async def test_what_is_no_file_is_refused(state, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is no regular file"):
        await run([b"a"], state, tmp_path / "pipe")


async def test_a_folder_that_is_not_there_is_told(state, tmp_path):
    with pytest.raises(StorageError, match=r"could not write to '.*none/out': there is no such"):
        await run([b"a"], state, tmp_path / "none" / "out")


async def test_a_full_disk_ends_the_stream_and_state_and_file_agree(state, out):
    class FullFile(OutputFile):
        def append(self, parts):
            if self.mark.offset:
                self._translated("append to", lambda: os.write(full, b"x"))
            super().append(parts)

    class Full(JsonLinesFile):
        files = FullFile

    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(StorageError, match=r"append to '.*out.jsonl': the disk is full") as caught:
        await run([b"a", b"a"], state, out, sinks=[Full(out)])
    os.close(full)
    assert caught.value.path == out
    await run([b"a", b"a"], state, out)
    assert [(line["value"], line["epoch"]) for line in lines(out)] == [(1, 1), (2, 2)]
