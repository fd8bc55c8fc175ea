"""A state that is larger than the memory it is given: nothing that can be asked of it is different."""

from __future__ import annotations

import math
import operator
import sqlite3
import tempfile
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import Job, StorageError
from asyncmr.streaming import Stream
from asyncmr.streaming.store import StateStore
from tests.streaming.feeds import Instant, Listed

KEYS: list[Any] = [
    "a", "b", "A", "é", "😀", "\ud800", "nul\0", "line\n", "", b"bytes", 1, 1.0, True, -7, 2**63, -(2**63), 0.5,
    math.inf, math.nan, None, ("a", 1), ("a", 1.0), ("a", math.nan), frozenset({"x", "y"}), "c", "d", "e",
]  # fmt: skip


def keys_of(_key, line):
    return [(KEYS[int(number)], 1) for number in line.split()[1:]]


def numbers_of(_key, line):
    return [(f"k{number}", int(number)) for number in line.split()[1:]]


COUNT = Job(mapper=keys_of, fold=operator.add, partitions=3)
MEAN = Job(mapper=numbers_of, aggregator=asyncmr.Mean(), partitions=3)
DISTINCT = Job(mapper=numbers_of, aggregator=asyncmr.Distinct(), partitions=3)

LINES = st.lists(st.integers(0, len(KEYS) - 1), max_size=5).map(lambda keys: " ".join(map(str, keys)))
BATCHES = st.lists(st.lists(LINES, min_size=1, max_size=3), min_size=1, max_size=6)


def shown(pairs):
    """Pairs to compare, also by the type of the key."""
    return [(repr(key), value) for key, value in pairs]


async def seen(batches, cuts, *, job, window=None, **options):
    """All that a stream says of its input, which is cut into runs."""
    said: list[Any] = []
    given_ = ["".join(f"{place} {line}\n" for line in lines).encode() for place, lines in enumerate(batches)]
    with tempfile.TemporaryDirectory() as folder:
        for end in [*cuts, len(batches)]:
            feed = Listed(given_[:end])
            async with Stream(
                job,
                [feed],
                window=window,
                state=folder,
                executor="inline",
                workers=1,
                clock=Instant(),
                durable=False,
                **options,
            ) as stream:
                updates = stream.updates()
                if end == len(batches):
                    await stream.join()
                    said += [
                        (update.window, update.final, shown(update.changes))
                        async for update in updates
                        if update.final
                    ]
                else:
                    await feed.given.wait()
                windows = await stream.windows()
                starts = [found.start for found in windows]
                tops = [await stream.top(k, start) for start in starts for k in (1, 3, 100)]
                one = [await stream.get(key, start) for start in starts for key in [*KEYS, "k1", "k2"]]
                said += [windows, list(map(shown, tops)), one, stream.stats().keys]
    return said


@pytest.mark.parametrize("job", [COUNT, MEAN, DISTINCT], ids=["count", "mean", "distinct"])
@pytest.mark.parametrize("window", [None, "2s event ^\\d+", "3s/1s event ^\\d+"])
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=BATCHES, cut=st.integers(0, 6), keepers=st.integers(1, 2), memory=st.sampled_from([1, 2000]))
async def test_what_is_cold_changes_no_answer(job, window, batches, cut, keepers, memory):
    cuts = [cut] if cut < len(batches) else []
    hot = await seen(batches, cuts, job=job, window=window)
    assert await seen(batches, cuts, job=job, window=window, keepers=keepers, state_memory=memory) == hot


class Full(StateStore):
    """A disk that is full once some keys are cold."""

    def move(self, moves):
        self._database.execute(
            "PRAGMA max_page_count = 1"
        )  # SQLite takes the pages that there are for the least
        super().move(moves)


async def test_a_disk_that_is_full_when_keys_become_cold_loses_nothing(tmp_path):
    lines = b"".join(b"0 %d %d\n" % (n, n + 1) for n in range(0, 5000, 2))
    options: Any = {"state": tmp_path / "state", "state_memory": 1, "executor": "inline", "workers": 1}
    with pytest.raises(StorageError, match="the disk is full, or does not work; free some space"):
        async with Stream(MEAN, [Listed([lines])], make_store=Full, **options) as stream:
            await stream.join()
    async with Stream(MEAN, [Listed([lines, b"0 7\n"])], **options) as stream:
        await stream.join()
        assert stream.stats().keys == 5000
        assert await stream.get("k4999") == 4999
        assert await stream.top(2) == [("k4999", 4999), ("k4998", 4998)]


async def test_at_a_start_with_less_memory_what_was_hot_becomes_cold(tmp_path):
    lines = b"".join(b"0 %d\n" % n for n in range(3000))
    options: Any = {"state": tmp_path / "state", "executor": "inline", "workers": 1}
    async with Stream(MEAN, [Listed([lines])], keepers=2, **options) as stream:
        await stream.join()
    async with Stream(MEAN, [], state_memory=50_000, **options) as stream:
        assert stream.stats().keys == 3000
        assert stream.stats().cold_keys > 2000
        assert await stream.get("k17") == 17


@pytest.mark.parametrize("memory", [1, 800, 900])
async def test_cold_keys_of_panes_that_are_dropped_go_too(tmp_path, memory):
    batches = [b"%d %d\n" % (second, second) for second in range(40)]
    window = r"1s retain 2s event ^(\S+)"
    options: Any = {"state": tmp_path / "state", "executor": "inline", "workers": 1, "clock": Instant()}
    async with Stream(MEAN, [Listed(batches)], window=window, state_memory=memory, **options) as stream:
        await stream.join()
        assert 1 <= len(await stream.windows()) <= 3
    with closing(sqlite3.connect(tmp_path / "state" / "state.sqlite")) as database:
        (panes,) = database.execute("SELECT count(DISTINCT pane) FROM cold").fetchone()
        assert panes <= 4
        assert database.execute("SELECT count(*) FROM cold_places").fetchone() <= (3,)
