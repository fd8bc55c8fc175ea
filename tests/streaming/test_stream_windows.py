"""A stream with windows gives for each what the batch job gives for its lines, however it is cut and stopped."""

from __future__ import annotations

import operator
import os
import tempfile
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmr import Job, ResumeError, UsageError
from asyncmr.streaming import Stream
from asyncmr.streaming.windowing import Windowing
from tests.streaming.feeds import Instant, Listed


def words(_key, line):
    return [(word, 1) for word in line.split()[1:]]


JOB = Job(mapper=words, fold=operator.add, partitions=3)
EVENT = r" event ^(\S+)"


def inline(feeds, window, **options):
    return Stream(
        JOB, feeds, window=window, executor="inline", workers=1, clock=Instant(), durable=False, **options
    )


def counted(lines, start, end):
    found: Counter[str] = Counter()
    for line in lines:
        second, *rest = line.split()
        if start <= int(second) < end:
            found.update(rest)
    return dict(found)


LINE = st.tuples(st.integers(0, 40), st.sampled_from(["a", "b", "a b", "c a"])).map(
    lambda two: f"{two[0]} {two[1]}"
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=st.lists(st.lists(LINE, min_size=1, max_size=5), max_size=5),
    epochs=st.lists(st.integers(1, 2), max_size=4),
    stop=st.integers(0, 5),
    window=st.sampled_from(["10s late 50s", "20s/10s late 50s", "15s/10s late 50s"]),
)
async def test_lines_in_any_order_within_the_lateness_count_in_every_window_they_are_in(
    batches, epochs, stop, window
):
    given_ = ["".join(f"{line}\n" for line in batch).encode() for batch in batches]
    lines = [line for batch in batches for line in batch]
    kind = Windowing.of(window + EVENT).windows
    with tempfile.TemporaryDirectory() as folder:
        for until, ends in ((stop, epochs), (len(batches), [])):
            feed = Listed(given_[:until], ends)
            async with inline([feed], window + " idle 1000d retain all" + EVENT, state=folder) as stream:
                if until != len(batches):
                    await feed.given.wait()
                    continue
                await stream.join()
                for info in await stream.windows():
                    assert info.end - info.start in (10, 15, 20)
                    found = dict(await stream.top(9, info.start))
                    assert found == counted(lines, info.start, info.end)
                seen = sum(info.keys > 0 for info in await stream.windows())
                assert seen == len(kind.over({kind.pane_of(int(line.split()[0]) * 1000) for line in lines}))
                assert await stream.set_aside() == []


async def test_final_windows_are_told_once_and_whole():
    feed = Listed([b"1 a\n", b"2 a b\n11 c\n", b"12 c\n25 d\n"])
    async with inline([feed], "10s final" + EVENT) as stream:
        told = [(u.window, dict(u.changes), u.final) async for u in stream]
    assert told == [(0.0, {"a": 2, "b": 1}, True), (10.0, {"c": 2}, True), (20.0, {"d": 1}, True)]


def slow(_key, line):
    until = time.perf_counter() + 0.003
    while time.perf_counter() < until:
        pass
    return [(os.getpid(), 1), ("lines", 1)]


async def test_slow_lines_are_spread_over_the_workers_whatever_panes_they_are_in():
    lines = b"".join(b"%d a\n" % (second % 100) for second in range(300))
    job = Job(mapper=slow, fold=operator.add)
    async with Stream(job, [Listed([lines])], window="10s" + EVENT, workers=2, clock=Instant()) as stream:
        await stream.join()
        found = [dict(await stream.top(9, info.start)) for info in await stream.windows()]
    assert [window.pop("lines") for window in found] == [30] * 10
    assert len({pid for window in found for pid in window}) == 2


async def test_late_lines_are_counted_and_kept_aside(tmp_path):
    batches = [b"100 a\n", b"101 a\n", b"5 late\nno time\n"]
    async with inline([Listed(batches)], "10s" + EVENT, state=tmp_path / "state") as stream:
        await stream.join()
        assert stream.stats().late == 1
        assert stream.stats().watermark == 110
    async with inline([], "10s" + EVENT, state=tmp_path / "state") as stream:
        assert await stream.set_aside() == [("late", b"5 late\n"), ("untimed", b"no time\n")]
        assert await stream.top(3) == [("a", 2)]


async def test_windows_that_are_final_for_long_go():
    batches = [b"1 a\n", b"50 b\n", b"51 b\n", b"52 c\n"]
    async with inline([Listed(batches)], "10s retain 10s" + EVENT) as stream:
        await stream.join()
        assert [info.start for info in await stream.windows()] == [50.0]
        assert await stream.get("a", 0.0) is None


async def test_by_the_time_of_processing_a_window_ends_when_the_clock_says_so():
    async with inline([Listed([b"x a\n", b"x b\n"])], "1h final") as stream:
        told = [(u.window, dict(u.changes)) async for u in stream]
    assert told == [(0.0, {"a": 1, "b": 1})]


async def test_the_keys_of_windows_that_overlap_are_a_bound():
    async with inline([Listed([b"1 a b\n11 a c\n"])], "20s/10s" + EVENT) as stream:
        await stream.join()
        found = [(info.start, info.keys, info.exact) for info in await stream.windows()]
    assert found == [(-10.0, 2, True), (0.0, 4, False), (10.0, 2, True)]


async def test_other_windows_are_refused(tmp_path):
    async with inline([], "10s", state=tmp_path / "state"):
        pass
    with pytest.raises(ResumeError, match="the windows was 10s and is 20s now"):
        async with inline([], "20s", state=tmp_path / "state"):
            pass


async def test_a_window_is_not_asked_of_running_totals():
    async with inline([], None) as stream:
        with pytest.raises(UsageError, match="has no windows"):
            await stream.top(1, 10.0)
