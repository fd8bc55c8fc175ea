"""What is said of a state without opening it."""

from __future__ import annotations

import operator
import tempfile
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmr import CorruptRunError, Job, ResumeError, StorageError
from asyncmr.streaming import Stream, Windowing, inspect_state
from asyncmr.streaming.state_folder import StateFolder
from tests.streaming.feeds import Instant, Listed


def words(_key, line):
    return [(word, 1) for word in line.split()[1:]]


def decimals(_key, line):
    return [(Decimal(line), 1)]


JOB = Job(mapper=words, fold=operator.add, partitions=3)


async def run(folder, batches, window="none", job=JOB, epochs=(), state_memory=None):
    """What a stream says of its windows at its end."""
    feed = Listed([batch.encode() for batch in batches], epochs)
    windowing = Windowing.of(window)
    async with Stream(
        job,
        [feed],
        state=folder,
        window=windowing,
        executor="inline",
        workers=1,
        clock=Instant(),
        state_memory=state_memory,
        durable=False,
    ) as stream:
        await feed.given.wait()
        return await stream.windows()


async def test_it_tells_how_far_a_state_has_come(tmp_path):
    await run(tmp_path / "state", ["- a b\n", "- a\n- c\n"])
    info = inspect_state(tmp_path / "state")
    assert (info.epoch, info.records, info.bytes) == (2, 3, 14)
    assert (info.keys, info.exact) == (3, True)
    assert info.committed_at is not None
    assert info.positions == {"listed": {"": 2}}
    assert info.identity["the number of key groups"] == "3"
    assert info.table_bytes > info.delta_bytes > 0
    assert info.disk_bytes > info.table_bytes + info.delta_bytes
    assert info.as_dict()["windows"] == [{"start": None, "end": None, "keys": 3}]


LINES = st.lists(st.tuples(st.integers(0, 9), st.text("abc", min_size=1, max_size=1)), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(LINES, max_size=4),
    st.sampled_from(["2s", "4s/2s", "6s/4s", "5s/1s"]),
    st.sampled_from([1, 1000, None]),
)
async def test_a_key_counts_once_in_each_window(batches, windows, state_memory):
    texts = ["".join(f"{1000 + 3 * time} {word}\n" for time, word in batch) for batch in batches]
    windowing = Windowing.of(f"{windows} late 1h event ^([0-9]+)")
    with tempfile.TemporaryDirectory() as folder:
        await run(folder, texts, windowing, state_memory=state_memory)
        info = inspect_state(folder)
    found = {(window.start, window.end): window.keys for window in info.windows}
    keys: dict[tuple[float | None, float | None], set[str]] = {}
    for time, word in [line for batch in batches for line in batch]:
        for start, end in found:
            if start is not None and end is not None and start <= 1000 + 3 * time < end:
                keys.setdefault((start, end), set()).add(word)
    assert found == {window: len(words) for window, words in keys.items()}


async def test_keys_that_are_pickles_are_not_opened(tmp_path):
    await run(tmp_path / "state", ["1.5\n", "1.5\n2.5\n"], job=JOB.replace(mapper=decimals))
    info = inspect_state(tmp_path / "state")
    assert (info.keys, info.exact) == (3, False)


async def test_nothing_of_the_state_changes(tmp_path):
    await run(tmp_path / "state", ["- a\n"])
    before = (tmp_path / "state/state.sqlite").read_bytes()
    inspect_state(tmp_path / "state")
    assert (tmp_path / "state/state.sqlite").read_bytes() == before


def test_a_folder_without_a_state_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ResumeError, match="there is no state of a stream in"):
            inspect_state(folder)


async def test_a_state_that_others_can_write_to_is_refused(tmp_path):
    await run(tmp_path / "state", ["- a\n"])
    (tmp_path / "state").chmod(0o770)
    with pytest.raises(ResumeError, match="chmod go-w"):
        inspect_state(tmp_path / "state")


async def test_a_damaged_state_is_told(tmp_path):
    await run(tmp_path / "state", ["- aaaaaaaaaaaaaaaa\n"])
    file = tmp_path / "state" / StateFolder.database_name
    file.write_bytes(file.read_bytes().replace(b"aaaaaaaaaaaaaaaa", b"aaaaaaaaaaaaaaab"))
    with pytest.raises(CorruptRunError, match=r"a block of key group \d is not what was written"):
        inspect_state(tmp_path / "state")
    file.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageError, match="it is damaged"):
        inspect_state(tmp_path / "state")


async def test_keys_that_are_cold_are_told_while_the_stream_runs(tmp_path):
    feed = Listed([b"- a b\n", b"- a c\n"])
    async with Stream(
        JOB, [feed], state=tmp_path, executor="inline", workers=1, clock=Instant(), state_memory=1
    ) as stream:
        await feed.given.wait()
        assert await stream.get("a") == 2
        info = inspect_state(tmp_path)
    assert (info.epoch, info.keys, info.cold_keys) == (2, 3, 3)
