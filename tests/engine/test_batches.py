"""Whole jobs of batch functions: every executor, chains, small jobs, and what their errors say."""

from __future__ import annotations

import operator
from collections import Counter

import pytest

import asyncmr
from asyncmr import Engine, Job, MapperError, UsageError, batch
from asyncmr.connectors.text import TextFiles
from asyncmr.jobs import wordcount
from tests.engine.word_count import COUNT, STAGED, TEXT, WORDS, source, swapped

LINES = [f"w{number % 7} x{number % 3}" for number in range(500)]
COUNTED = Counter(" ".join(LINES).split())


@batch(size=100)
def counted(_keys, lines):
    return Counter(" ".join(lines).split())


@batch("bytes", size=100)
def split(_keys, block):
    return block.decode().split(), None


@batch("arrow", size=100)
def by_arrow(_keys, table):
    from pyarrow import compute

    return compute.ascii_split_whitespace(table["value"]).combine_chunks().flatten().value_counts()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "lines"
    path.write_text("".join(f"{line}\n" for line in LINES))
    return path


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
async def test_batches_of_a_file(path, executor):
    counts = Job(mapper=counted, fold=operator.add)
    blocks = Job(mapper=split, aggregator=asyncmr.Count())
    async with Engine(workers=2, executor=executor) as engine:
        for splits in (path, TextFiles(path, split_bytes=700)):
            assert dict(await engine.collect(counts, splits)) == COUNTED
            result = await engine.collect(blocks, splits)
            assert dict(result) == COUNTED
            assert result.report.stages["map"].records_in == len(LINES)
            assert result.report.stages["map"].pairs_out == sum(COUNTED.values())


@pytest.mark.parametrize("executor", ["process", "thread"])
async def test_batches_as_arrow_tables(path, executor):
    pytest.importorskip("pyarrow")
    async with Engine(workers=1, executor=executor) as engine:
        assert dict(await engine.collect(Job(mapper=by_arrow, fold=operator.add), path)) == COUNTED


async def test_the_steps_of_a_chain(engine):
    @batch
    def inverted(words, counts):
        return counts, words

    by_count = Job(mapper=inverted, reducer=lambda count, words: [(count, sorted(words))])
    expected = {n: sorted(word for word in WORDS if WORDS[word] == n) for n in set(WORDS.values())}
    first = Job(mapper=counted, aggregator=asyncmr.Sum())
    assert dict(await engine.collect(first.then(by_count), source())) == expected
    assert dict(await engine.collect(first.then(Job(mapper=swapped)).then(by_count), source()))


async def test_an_empty_input(engine):
    assert list(await engine.collect(Job(mapper=counted, fold=max), source([]))) == []


async def test_the_ready_made_word_count_takes_any_source(engine, path):
    assert dict(await engine.collect(wordcount, source())) == WORDS
    assert dict(await engine.collect(wordcount, path)) == COUNTED
    lines = Job(mapper=lambda _, line: [(None, line)])
    assert dict(await engine.collect(lines.then(wordcount), source(TEXT))) == WORDS


async def test_a_form_that_cannot_be_had_is_refused_before_any_step_runs(engine, tmp_path):
    with pytest.raises(UsageError, match="only lines of text come as bytes"):
        await engine.run(COUNT.then(Job(mapper=split)), source(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@batch("bytes", size=30)
def picky(_keys, block):
    if b"w4" in block:
        raise ValueError("no w4, please")
    return {}


@pytest.mark.parametrize("limits", [None, STAGED])
async def test_the_error_gives_the_lines_of_the_batch(path, limits):
    async with Engine(workers=1, limits=limits) as engine:
        with pytest.raises(MapperError) as caught:
            await engine.collect(Job(mapper=picky, fold=max), path)
    error = caught.value
    assert (error.path, error.line, error.last_line, error.exception) == (str(path), 1, 5, "ValueError")
    assert f"picky raised ValueError\n  ValueError: no w4, please\n  at {path}, lines 1 to 5" in str(error)
    assert 'raise ValueError("no w4, please")' in str(error.__cause__)


async def test_the_error_gives_both_files_of_a_batch_of_two(tmp_path):
    (tmp_path / "a").write_text("one\ntwo\n")
    (tmp_path / "b").write_text("three\nw4")
    async with Engine(workers=1) as engine:
        with pytest.raises(MapperError) as caught:
            await engine.collect(Job(mapper=picky, fold=max), tmp_path)
    assert f"at {tmp_path / 'a'}, line 1 to {tmp_path / 'b'}, line 2" in str(caught.value)
    assert (caught.value.line, caught.value.last_line) == (1, None)


async def test_the_error_gives_the_records_of_the_batch(engine):
    def pairs(keys, values):
        return [("a", 1)]

    with pytest.raises(MapperError) as caught:
        await engine.collect(
            Job(mapper=batch(pairs), fold=max),
            asyncmr.records(range(7), records_per_task=7),
        )
    assert (caught.value.record, caught.value.last_record) == (0, 6)
    assert str(caught.value).count("returned [('a', 1)], of type list") == 1
    assert "at records 0 to 6" in str(caught.value)
