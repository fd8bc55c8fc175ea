"""Whole jobs: chains, order, partitions, and inputs that are hardly there."""

from __future__ import annotations

import operator

import pytest

import asyncmr
from asyncmr import Job, UsageError
from tests.engine.word_count import COUNT, TEXT, WORDS, source, swapped
from tests.family import JOBS, listed
from tests.oracle import oracle


async def test_the_pairs_of_one_step_feed_the_next_steps_mapper(engine):
    by_count = Job(mapper=swapped, reducer=lambda count, found: [(count, sorted(found))])
    expected = {n: sorted(word for word in WORDS if WORDS[word] == n) for n in set(WORDS.values())}
    assert dict(await engine.collect(COUNT.then(by_count), source())) == expected


async def test_three_steps(engine):
    by_count = Job(mapper=swapped, aggregator=asyncmr.Count())
    most = Job(mapper=lambda count, words: [(None, (count, words))], fold=max)
    result = await engine.collect(COUNT.then(by_count).then(most), source())
    assert list(result) == [(None, (4, 1))]
    assert [name for name in result.report.stages if "map" in name] == ["1.map", "2.map", "3.map"]


async def test_chains_of_chains_run_in_reading_order(engine):
    def adds(text):
        return Job(mapper=lambda key, value: [(key, value + text)])

    chain = adds("a").then(adds("b")).then(adds("c").then(adds("d")))
    assert list(await engine.collect(chain, source(["-", "+"]))) == [(None, "-abcd"), (None, "+abcd")]


async def test_the_first_or_the_last_step_may_only_map(engine):
    lower = Job(mapper=lambda _, line: [(None, line.lower())])
    loud = Job(mapper=lambda word, count: [(word.upper(), count)])
    result = await engine.collect(lower.then(COUNT).then(loud), source([line.upper() for line in TEXT]))
    assert dict(result) == {word.upper(): count for word, count in WORDS.items()}


async def test_a_last_step_that_only_maps_is_reported_as_a_step_of_its_own(engine):
    def loud(word, count):
        asyncmr.counter("words", "shouted").increment()
        yield word.upper(), count
        yield word.upper(), -count

    report = (await engine.collect(COUNT.then(Job(mapper=loud)), source())).report
    assert report.stages["1.reduce"].pairs_out == report.stages["2.map"].records_in == len(WORDS)
    assert report.stages["2.map"].pairs_out == 2 * len(WORDS)
    assert report.counters == {"words": {"shouted": len(WORDS)}}


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no")])
async def test_a_last_step_that_fails_says_on_which_pair(engine, error):
    def picky(word, count):
        if word == "dream":
            raise error
        return [(word, count)]

    with pytest.raises(asyncmr.MapperError, match="picky") as caught:
        await engine.collect(COUNT.then(Job(mapper=picky)), source())
    assert caught.value.stage == "2.map"
    assert caught.value.exception.rpartition(".")[2] == type(error).__name__


async def test_a_last_step_that_gives_no_pairs_is_told_so(engine):
    with pytest.raises(asyncmr.MapperError, match=r"not a \(key, value\) pair"):
        await engine.collect(COUNT.then(Job(mapper=lambda word, count: [word])), source())


async def test_a_step_that_passes_nothing_on_starves_the_next(engine):
    nothing = Job(mapper=lambda _, line: [])
    assert list(await engine.collect(nothing.then(COUNT), source())) == []


async def test_a_job_that_only_maps_keeps_the_order_of_its_input(engine):
    records = list(range(300))
    result = await engine.collect(
        Job(mapper=lambda _, n: [(n, "first"), (n, "second")]),
        asyncmr.records(records, records_per_task=7),
    )
    assert list(result) == [(n, which) for n in records for which in ("first", "second")]


async def test_sort_puts_the_keys_of_each_partition_in_order(engine):
    job = Job(
        mapper=lambda _, n: [(n * 37 % 101, n)],
        reducer=listed,
        sort=True,
        partitions=3,
        partitioner=operator.mod,
    )
    result = await engine.collect(job, asyncmr.records(range(101), records_per_task=10))
    assert [key for key, _ in result] == [key for part in range(3) for key in range(part, 101, 3)]


async def test_a_partitioner_decides_the_part_of_a_key(engine):
    job = Job(
        mapper=lambda _, n: [(n, n)],
        fold=operator.add,
        partitions=5,
        partitioner=lambda key, partitions: partitions - 1 - key,
    )
    assert [key for key, _ in await engine.collect(job, source(range(5)))] == [4, 3, 2, 1, 0]


async def test_one_partition_or_many_make_the_same_pairs(engine):
    one, many = [await engine.collect(COUNT.replace(partitions=number), source()) for number in (1, 60)]
    assert list(one) == list(many)
    assert dict(one) == WORDS


async def test_values_of_a_key_come_in_the_order_of_the_input(engine):
    job = Job(mapper=lambda _, n: [(n % 3, n)], reducer=listed)
    result = await engine.collect(job, asyncmr.records(range(100), records_per_task=3))
    assert dict(result) == {rest: list(range(rest, 100, 3)) for rest in range(3)}


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("records", [[], ["lonely"]], ids=["no record", "one record"])
async def test_hardly_any_input(name, records, engine):
    result = await engine.collect(JOBS[name], source(records))
    assert sorted(result, key=repr) == sorted(oracle(JOBS[name], records), key=repr)
    assert result.report.stage("map").records_in == len(records)


async def test_an_iterator_of_records_feeds_one_job_only(engine):
    records = asyncmr.records(iter(TEXT))
    assert dict(await engine.collect(COUNT, records)) == WORDS
    with pytest.raises(UsageError, match="iterator"):
        await engine.collect(COUNT, records)


async def test_a_list_of_records_feeds_any_number_of_jobs(engine):
    records = source()
    results = [await engine.collect(COUNT, records) for _ in range(2)]
    assert [dict(result) for result in results] == [WORDS, WORDS]


async def test_the_shortcuts_open_an_engine_of_their_own(tmp_path):
    assert dict(await asyncmr.collect(COUNT, source(), workers=1)) == WORDS
    async with asyncmr.stream(COUNT, source(), workers=1) as pairs:
        assert dict([pair async for pair in pairs]) == WORDS
    report = await asyncmr.run(COUNT, source(), tmp_path / "out", workers=1)
    assert report.stages["reduce"].pairs_out == len(WORDS)
    assert (tmp_path / "out" / "_SUCCESS").exists()


async def test_the_text_that_run_writes_has_the_pairs_of_collect(engine, tmp_path):
    pairs = list(await engine.collect(COUNT, source()))
    await engine.run(COUNT, source(), tmp_path / "out")
    parts = sorted((tmp_path / "out").glob("part-*"))
    lines = [line for part in parts for line in part.read_text().splitlines()]
    assert lines == [f"{word}\t{count}" for word, count in pairs]


async def test_a_job_that_fails_shows_nothing_of_its_output(engine, tmp_path):
    with pytest.raises(asyncmr.MapperError):
        await engine.run(Job(mapper=lambda _, n: [(1 // (n - 40), n)]), source(range(50)), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))
