"""What `collect` and `stream` give."""

from __future__ import annotations

import pytest

from asyncmr import ClosedError, Engine, Job
from tests.engine.trail import work
from tests.engine.word_count import COUNT, STAGED, WORDS, source


async def test_a_result_can_be_read_again_and_again(engine):
    result = await engine.collect(COUNT, source())
    assert list(result) == list(result)
    assert len(result) == len(WORDS)
    assert dict(result) == WORDS
    assert repr(result) == f"<Result of 'count': {len(WORDS)} pairs>"


async def test_a_stream_gives_the_pairs_of_collect_in_their_order(engine):
    collected = list(await engine.collect(COUNT, source()))
    async with engine.stream(COUNT, source()) as pairs:
        assert [pair async for pair in pairs] == collected


async def test_a_stream_that_is_left_by_break_goes_on_where_it_was(engine):
    collected = list(await engine.collect(COUNT, source()))
    async with engine.stream(COUNT, source()) as pairs:
        read = []
        async for pair in pairs:
            read.append(pair)
            break
        assert read + [pair async for pair in pairs] == collected


async def test_a_stream_gives_columns_as_well(engine):
    async with engine.stream(COUNT, source()) as pairs:
        columns = [column async for column in pairs.columns()]
    assert dict(pair for keys, values in columns for pair in zip(keys, values, strict=True)) == WORDS


async def test_a_stream_has_its_report_when_the_last_pair_was_read(engine):
    async with engine.stream(COUNT, source()) as pairs:
        with pytest.raises(ClosedError, match="last pair"):
            _ = pairs.report
        async for _pair in pairs:
            pass
        assert pairs.report.stages["reduce"].pairs_out == len(WORDS)


async def test_the_first_parts_of_a_stream_come_while_later_ones_are_made(trail, tmp_path):
    opened = tmp_path / "gate"

    def reducer(key, values):
        while key and not opened.exists():
            work()
        yield key, sum(values)

    job = Job(mapper=lambda _, n: [(n, n)], reducer=reducer, partitions=2, partitioner=lambda key, n: key % n)
    async with Engine(workers=2, limits=STAGED) as engine, engine.stream(job, source([0, 1])) as pairs:
        received = []
        async for pair in pairs:
            received.append(pair)
            opened.touch()
    assert received == [(0, 0), (1, 1)]
