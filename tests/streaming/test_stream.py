"""What a stream says of its input is what a batch job says, however it is cut, and however often it is stopped."""

from __future__ import annotations

import logging
import operator
import os
import tempfile
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import ClosedError, InputError, Job, ReducerError, ResumeError, UsageError
from asyncmr.streaming import Batch, Stream
from asyncmr.streaming.feeds import FolderFeed, TailFeed
from tests.streaming.feeds import Endless, Instant, Listed


def words(_key, line):
    return [(word, 1) for word in line.split()]


def lengths(_key, line):
    return [(len(word), word) for word in line.split()]


def telling(a, b):
    logging.getLogger("told").warning("folding")
    return a + b


COUNT = Job(mapper=words, fold=operator.add, partitions=4)
JOINED = Job(mapper=lengths, fold=operator.add, partitions=4)  # not commutative
TOP = Job(mapper=lengths, aggregator=asyncmr.TopK(2), partitions=4)

LINES = st.lists(st.text("ab ", max_size=6), min_size=1, max_size=4)


def inline(job, feeds, **options):
    return Stream(job, feeds, executor="inline", workers=1, clock=Instant(), **options)


async def all_of(stream):
    return dict(await stream.top(1000))


async def batch_result(job, batches):
    lines = [line for batch in batches for line in batch.decode().split("\n")[:-1]]
    engine = asyncmr.Engine(executor="inline", workers=1)
    async with engine:
        return dict(await engine.collect(job, asyncmr.records(lines)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    job=st.sampled_from([COUNT, JOINED, TOP]),
    batches=st.lists(LINES.map(lambda lines: "".join(f"{line}\n" for line in lines).encode()), max_size=5),
    runs=st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=1, max_size=3),
    keepers=st.integers(1, 2),
    state_memory=st.sampled_from([None, 1, 1000]),
)
async def test_any_cut_into_batches_epochs_and_runs_gives_the_result_of_the_batch_job(
    job, batches, runs, keepers, state_memory
):
    with tempfile.TemporaryDirectory() as folder:
        for run, epochs in enumerate([*runs, []]):
            until = (
                len(batches) if run == len(runs) else min(len(batches), sum(len(r) for r in runs[: run + 1]))
            )
            feed = Listed(batches[:until], epochs)
            options: Any = {"keepers": keepers, "state_memory": state_memory, "durable": False}
            async with inline(job, [feed], state=folder, **options) as stream:
                await stream.join()
                found = await all_of(stream)
    assert found == await batch_result(job, batches)


@pytest.mark.parametrize("workers", [1, 2])
async def test_processes_count_what_the_batch_job_counts(workers):
    text = [b"to be or not\n" * 5000, b"to be\n" * 20_000]
    async with Stream(COUNT, [Listed(text)], workers=workers, keepers=workers) as stream:
        await stream.join()
        assert await stream.top(2) == [("be", 25_000), ("to", 25_000)]
        assert await stream.get("or") == 5000
        assert await stream.get("nothing") is None
        assert stream.stats().records == 25_000


async def test_updates_tell_the_new_values_of_what_changed():
    async with inline(TOP, [Listed([b"b a\n", b"c dd\n"])]) as stream:
        told = [(update.epoch, dict(update.changes)) async for update in stream]
    assert told == [(1, {1: ["b", "a"]}), (2, {1: ["c", "b"], 2: ["dd"]})]


async def test_leaving_the_block_commits_what_was_read(tmp_path):
    feed = Endless(b"a b\n", b"a\n")
    async with inline(COUNT, [feed], state=tmp_path / "state") as stream:
        await feed.durable.wait()
    async with inline(COUNT, [Endless(b"a b\n", b"a\n", b"c\n")], state=tmp_path / "state") as stream:
        assert await stream.get("a") == 2


async def test_a_token_that_was_committed_is_dropped_and_told_as_durable(tmp_path):
    class Repeating(Endless):
        async def batches(self, positions, around):
            async for batch in Listed([b"a\n"] * 3).batches({}, around):
                yield type(batch)(batch.data, "", None, 0.0, token="same", committed=batch.committed)

    for _ in range(2):
        async with inline(COUNT, [Repeating()], state=tmp_path / "state") as stream:
            await stream.join()
            assert await all_of(stream) == {"a": 1}


async def test_snapshots_take_the_place_of_deltas(tmp_path):
    batch = "".join(f"key-{n}\n" for n in range(20_000)).encode()
    async with inline(COUNT, [Listed([batch] * 12)], state=tmp_path / "state") as stream:
        await stream.join()
        assert stream.stats().state_bytes < 6 * len(batch)
    async with inline(COUNT, [], state=tmp_path / "state") as stream:
        assert Counter(value for _, value in await stream.top(30_000)) == {12: 20_000}


class Failing(Listed):
    """Fails before each batch that is in the list, so many times."""

    def __init__(self, batches, failures, error) -> None:
        super().__init__(batches, name="wire")
        self._failures = dict(failures)
        self._error = error

    async def batches(self, positions, around):
        async for batch in super().batches(positions, around):
            if self._failures.get(batch.position, 0) > 0:
                self._failures[batch.position] -= 1
                raise self._error
            yield batch


BROKEN = OSError("the cable is gone")


async def test_a_feed_that_fails_for_a_moment_is_read_on_from_where_it_was(caplog):
    feed = Failing([b"a\n", b"b\n", b"a\n"], {1: 3, 2: 2, 3: 3}, BROKEN)
    async with inline(COUNT, [feed]) as stream:
        await stream.join()
        assert await all_of(stream) == {"a": 2, "b": 1}
    assert caplog.text.count("the cable is gone") == 8
    assert "it is read again in 0.4 s" in caplog.text


async def test_a_feed_that_keeps_failing_comes_out_of_the_block_by_name():
    with pytest.raises(InputError, match=r"the feed 'wire' raised OSError: the cable is gone"):
        async with inline(COUNT, [Failing([b"a\n"], {1: 4}, BROKEN)]) as stream:
            await stream.join()


@pytest.mark.parametrize(
    ("guarantee", "error"), [("exactly-once", TypeError("no")), ("at-most-once", BROKEN)]
)
async def test_a_feed_is_not_read_again_after_a_mistake_or_when_it_cannot_go_back(guarantee, error):
    feed = Failing([b"a\n"], {1: 1}, error)
    feed.guarantee = guarantee
    with pytest.raises(InputError, match="wire"):
        async with inline(COUNT, [feed]) as stream:
            await stream.join()


def picky(_key, line):
    if line.endswith("bad"):
        raise ValueError("no good")
    return [(line, 1)]


PICKY = Job(mapper=picky, fold=operator.add)


@pytest.mark.parametrize("window", [None, r"10s event ^(\d+)"])
async def test_a_line_that_fails_is_told_with_its_batch_and_number(window):
    said = r"at listed, batch before position 2, line 3\n  record: '7 bad'"
    batches = [b"1 a\n", b"30 b\n2 c\n7 bad\n"]
    with pytest.raises(asyncmr.MapperError, match=said) as caught:
        async with inline(PICKY, [Listed(batches, [2])], window=window) as stream:
            await stream.join()
    assert caught.value.line == 3


@pytest.mark.parametrize("kind", [TailFeed, FolderFeed])
async def test_a_line_of_a_file_that_fails_is_told_with_file_and_number(kind, tmp_path):
    path = tmp_path / "app.log"
    path.write_text("a\nb\nbad\n")
    os.utime(path, (0, 0))
    feed = TailFeed(path) if kind is TailFeed else FolderFeed(tmp_path)
    with pytest.raises(asyncmr.MapperError, match=r"app\.log, line 3\n") as caught:
        async with inline(PICKY, [feed]) as stream:
            await stream.join()
    assert (caught.value.path, caught.value.line) == (str(path), 3)


@pytest.mark.parametrize("window", [None, r"10s event ^(\d+)"])
async def test_a_fold_that_is_not_associative_is_found_where_that_is_looked_for(window):
    feed = Listed([b"1 a\n2 a\n3 a\n" * 3])
    job = Job(mapper=lambda _key, line: [("all", int(line[0]))], fold=operator.sub)
    with pytest.raises(asyncmr.OperatorError, match="associative"):
        async with inline(job, [feed], window=window, verify=1.0) as stream:
            await stream.join()


async def test_a_fold_that_raises_in_a_keeper_is_told_with_the_key():
    def fold(a, b):
        raise ValueError("no")

    with pytest.raises(ReducerError, match="for the key 'a'"):
        async with inline(Job(mapper=words, fold=fold), [Listed([b"a\n", b"a\n"])]) as stream:
            await stream.join()


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (Job(mapper=words), "nothing that reduces"),
        (Job(mapper=words, combiner=words, reducer=words), "never has them all"),
        (Job(mapper=words, fold=operator.add, sort=True), "sort="),
        (COUNT.then(COUNT), "chain"),
        (Job(mapper={"a": words}, fold=operator.add), "named inputs"),
    ],
)
def test_a_job_that_cannot_be_streamed_is_refused(job, why):
    with pytest.raises(UsageError, match=why):
        Stream(job, [])


async def test_the_state_of_another_job_is_refused_with_what_differs(tmp_path):
    async with inline(COUNT, [], state=tmp_path / "state"):
        with pytest.raises(ResumeError, match="is in use"):
            async with inline(COUNT, [], state=tmp_path / "state"):
                pass
    with pytest.raises(ResumeError, match=r"the mapper 'words' has changed|was 'words'") as refused:
        async with inline(COUNT.replace(mapper=lengths, partitions=8), [], state=tmp_path / "state"):
            pass
    assert any("partitions was 4 and is 8" in difference for difference in refused.value.differences)


async def test_what_a_fold_logs_in_a_keeper_comes_to_the_log_of_the_host(caplog):
    async with Stream(Job(mapper=words, fold=telling), [Listed([b"a\n", b"a\n"])], workers=1) as stream:
        await stream.join()
    assert [record.asyncmr_stage for record in caplog.records if "folding" in record.message] == ["keep"]


async def test_an_application_has_the_stream_as_long_as_it_runs():
    stream = inline(COUNT, [Endless(b"a\n")])
    async with stream.lifespan() as state:
        assert state["stream"] is stream
        assert stream.stats().sources[0].name == "endless"
    with pytest.raises(ClosedError, match="not open"):
        stream.stats()


class Tireless(Listed):
    """Always has a batch, and never waits for anything."""

    async def batches(self, positions, around):
        while True:
            yield Batch(b"a\n", "", 1, around.clock.time(), committed=self.given.set)


async def test_a_feed_that_never_waits_is_stopped():
    feed = Tireless([])
    async with inline(COUNT, [feed]):
        await feed.given.wait()
