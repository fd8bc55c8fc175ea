"""Lines on which the mapper fails: set aside, counted once, limited and told."""

from __future__ import annotations

import logging
import operator
import os
import signal
import sys
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import Job, SkipLimitError, UsageError
from asyncmr.kernel.json_lines import JsonLines
from asyncmr.streaming import Stream
from asyncmr.streaming.failed import Failed, FailureLimit, failed_lines
from tests.streaming.feeds import Instant, Listed


def picky(_key, line):
    asyncmr.counter("lines", "seen").increment()
    if "bad" in line:
        raise ValueError("no good")
    return [(word, 1) for word in line.split()[1:]]


PICKY = Job(mapper=picky, fold=operator.add, partitions=3)
BATCHES = [b"1 a\nbad 1\n", b"2 a b\n", b"3 bad \xff\r\n4 bad\n5 b\n"]
ASIDE = [("failed", b"bad 1\n"), ("failed", b"3 bad \xff\r\n4 bad\n")]


def inline(feeds, **options):
    options = {"job": PICKY, "on_error": "skip", "executor": "inline", "workers": 1, **options}
    return Stream(feeds=feeds, clock=Instant(), durable=False, **options)


@pytest.mark.parametrize("executor", ["inline", "process"])
async def test_lines_that_fail_are_aside_as_they_were_and_the_others_count(executor):
    async with inline([Listed(BATCHES)], executor=executor) as stream:
        await stream.join()
        assert dict(await stream.top(9)) == {"a": 2, "b": 2}
        assert await stream.set_aside() == ASIDE
        stats = stream.stats()
    assert (stats.skipped, stats.records, stats.counters) == (3, 6, {"lines": {"seen": 3}})


async def test_after_a_restart_they_are_counted_once(tmp_path):
    for until in (1, 2, 3):
        async with inline([Listed(BATCHES[:until])], state=tmp_path / "state") as stream:
            await stream.join()
            stats = stream.stats()
    assert (stats.skipped, stats.counters) == (3, {"lines": {"seen": 3}})


async def test_a_line_in_a_window_that_fails_does_not_keep_time_back():
    lines = [b"1 a\n11 bad\n12 b\n3 bad\n", b"no time\n25 c\n"]
    async with inline([Listed(lines)], window=r"10s event ^(\d+)") as stream:
        await stream.join()
        assert [dict(await stream.top(9, info.start)) for info in await stream.windows()] == [
            {"a": 1},
            {"b": 1},
            {"c": 1},
        ]
        assert await stream.set_aside() == [("failed", b"3 bad\n11 bad\n"), ("untimed", b"no time\n")]


LINES = st.lists(st.sampled_from(["1 a", "12 b", "3 a b", "14 bad", "bad"]), min_size=1, max_size=4)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=st.lists(LINES, max_size=5),
    stop=st.integers(0, 5),
    epochs=st.lists(st.integers(1, 3), max_size=3),
)
async def test_however_it_is_cut_and_stopped_a_stream_skips_what_the_batch_job_skips(batches, stop, epochs):
    texts = ["".join(f"{line}\n" for line in lines).encode() for lines in batches]
    async with asyncmr.Engine(executor="inline", workers=1, on_error="skip") as engine:
        result = await engine.collect(PICKY, asyncmr.records([line for lines in batches for line in lines]))
    with tempfile.TemporaryDirectory() as folder:
        for until in (stop, len(texts)):
            async with inline([Listed(texts[:until], epochs)], state=folder) as stream:
                await stream.join()
                assert until != len(texts) or dict(await stream.top(9)) == dict(result)
                stats = stream.stats()
    assert stats.skipped == sum(stage.skipped for stage in result.report.stages.values())
    assert stats.counters == result.report.counters


def deadly(_key, line):
    if "die" in line:
        os.kill(os.getpid(), signal.SIGKILL)
    return [(line, 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="kills a process")
async def test_a_line_that_kills_its_worker_is_set_aside():
    job = Job(mapper=deadly, fold=operator.add)
    feed = Listed([b"a\ndie\nb\n"])
    async with inline([feed], job=job, executor="process", retries=1) as stream:
        await stream.join()
        assert dict(await stream.top(9)) == {"a": 1, "b": 1}
        assert await stream.set_aside() == [("failed", b"die\n")]


async def test_lines_that_are_no_json_are_set_aside_too():
    job = Job(mapper=lambda _key, value: [(value["word"], 1)], fold=operator.add)
    feed = Listed([b'{"word": "a"}\n{"word": \n[]\n'])
    async with inline([feed], job=job, decoder=JsonLines()) as stream:
        await stream.join()
        assert await stream.top(9) == [("a", 1)]
        assert await stream.set_aside() == [("failed", b'{"word": \n[]\n')]


async def test_more_than_may_fail_in_the_life_of_the_state_end_the_stream(tmp_path):
    async with inline([Listed(BATCHES[:2])], state=tmp_path / "state", skip_limit=2) as stream:
        await stream.join()
    with pytest.raises(SkipLimitError, match=r"failed on 3 lines.*skip_limit=2.*ValueError: no good"):
        async with inline([Listed(BATCHES)], state=tmp_path / "state", skip_limit=2) as stream:
            await stream.join()
    async with inline([Listed(BATCHES)], state=tmp_path / "state", skip_limit=3) as stream:
        await stream.join()
        assert await stream.set_aside() == ASIDE


def test_a_share_is_refused_as_a_limit():
    with pytest.raises(UsageError, match="is a share"):
        inline([], skip_limit=0.01)


def test_a_line_is_told_with_its_place_and_without_its_words(caplog):
    limit, one = FailureLimit("job", None), Failed(2, b"x\ny\n", "/var/log/a, byte 7", "ValueError: x\n")
    with caplog.at_level(logging.WARNING):
        for now in (0.0, 5.0, 12.0):
            limit.tell(10, [one], now)
    assert [record.getMessage() for record in caplog.records] == [
        "job 'job': the mapper failed on 2 more lines, 10 by now, which are set aside; "
        r"for instance /var/log/a, byte 7: 'ValueError: x\n'",
        "job 'job': the mapper failed on 4 more lines, 10 by now, which are set aside; "
        r"for instance /var/log/a, byte 7: 'ValueError: x\n'",
    ]


def test_nothing_that_failed_is_nothing():
    assert failed_lines(b"a\n", [], ()) is None
