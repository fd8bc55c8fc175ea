"""What a stream counts, how fast, and how full its queues are."""

from __future__ import annotations

import operator

from asyncmr import Job
from asyncmr.streaming import Stream
from asyncmr.streaming.totals import Rate
from tests.streaming.feeds import Endless, Instant, Listed


def words(_key, line):
    return [(word, 1) for word in line.split()]


COUNT = Job(mapper=words, fold=operator.add, partitions=4)


def inline(feeds, **options):
    options.setdefault("clock", Instant())
    return Stream(COUNT, feeds, executor="inline", workers=1, durable=False, **options)


async def test_pairs_are_counted_since_the_state_was_made(tmp_path):
    batches = [b"a b c\n", b"a\n\n", b"b c\n"]
    for until, expected in ((2, 4), (3, 6)):
        async with inline([Listed(batches[:until])], state=tmp_path / "state") as stream:
            await stream.join()
            assert stream.stats().pairs == expected


async def test_pairs_of_lines_in_several_panes_count_once():
    lines = b"1 a\n100 b\n"
    async with inline([Listed([lines])], window=r"10s event ^(\S+)") as stream:
        await stream.join()
        assert stream.stats().pairs == 4


async def test_the_queues_of_a_stream_have_names_that_stay():
    feed = Endless(b"a\n")
    async with inline([feed]) as stream:
        before = stream.stats().queues
        await feed.durable.wait()
        after = stream.stats().queues
    names = ["batches", "epoch", "mappers", "epochs", "keepers", "commit", "updates"]
    assert [queue.name for queue in before] == [queue.name for queue in after] == names
    assert all(queue.held == 0 for queue in after if queue.name != "commit")


async def test_the_age_of_the_checkpoint_is_by_the_clock_of_the_stream():
    feed, clock = Endless(b"a\n"), Instant()
    async with inline([feed], clock=clock) as stream:
        assert stream.stats().checkpoint_age is None
        await feed.durable.wait()
        committed_at = stream.stats().committed_at
        assert committed_at is not None
        clock.now = committed_at + 7
        assert stream.stats().checkpoint_age == 7
        assert stream.stats().commit_seconds > 0


def test_a_rate_is_that_of_the_last_seconds():
    rate = Rate()
    assert rate.per_second(0.0) == 0.0
    rate.note(10.0, 60)
    rate.note(12.0, 40)
    assert rate.per_second(12.0) == 50.0
    assert rate.per_second(16.0) == 10.0
    assert rate.per_second(60.0) == 0.0
