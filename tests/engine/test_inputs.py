"""Whole jobs over every kind of input, on every way through the engine."""

from __future__ import annotations

import asyncio
import gzip
import json
import operator
import os
from importlib.util import find_spec
from typing import Any

import pytest

import asyncmr
from asyncmr import CorruptInputError, Engine, FormatError, InputError, Job, MapperError, RecordError
from asyncmr.connectors.documents import Documents
from asyncmr.connectors.text import TextFiles
from asyncmr.kernel.json_lines import JsonLines
from asyncmr.pipeline.limits import Limits
from tests.connectors.compressing import COMPRESSORS, compressed
from tests.engine.test_backup_tasks import wait_for_ever
from tests.family import listed


def numbers(_key, line):
    number = int(line)
    yield number % 7, number


def amounts(_key, order):
    yield order["product"], order["amount"]


def lengths(path, text):
    yield os.path.basename(path), len(text)


@asyncmr.batch
def many_amounts(keys, orders):
    assert keys is None
    return [order["product"] for order in orders], [order["amount"] for order in orders]


@asyncmr.batch("arrow")
def arrow_amounts(_keys, table):
    records = table["value"].to_pylist()
    return [order["product"] for order in records], [order["amount"] for order in records]


async def awaited_amounts(_key, order):
    await asyncio.sleep(0)
    return [(order["product"], order["amount"])]


MAPPERS = [amounts, many_amounts, awaited_amounts, *([arrow_amounts] if find_spec("pyarrow") else [])]


def same(key, value):
    yield key, value


TOTALS = Job(mapper=numbers, fold=operator.add, partitions=3)
ORDERS: list[dict[str, Any]] = [{"product": f"p{number % 5}", "amount": number} for number in range(300)]
BAD = [17, 18, 250]


def order_lines(bad=()):
    return ["{oops" if number in bad else json.dumps(order) for number, order in enumerate(ORDERS)]


def sums(bad=()):
    totals: dict[str, int] = {}
    for number, order in enumerate(ORDERS):
        if number not in bad:
            totals[order["product"]] = totals.get(order["product"], 0) + order["amount"]
    return totals


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESSORS if suffix])
async def test_a_compressed_file_gives_what_its_text_gives(engine, tmp_path, suffix):
    text = "".join(f"{number}\n" for number in range(5_000)).encode()
    path = compressed(tmp_path, "numbers", suffix, text[:20_000], text[20_000:])
    expected = {rest: sum(range(rest, 5_000, 7)) for rest in range(7)}
    assert dict(await engine.collect(TOTALS, path)) == expected


async def test_an_error_names_the_line_of_the_decompressed_text(engine, tmp_path):
    path = compressed(tmp_path, "numbers", ".gz", b"1\n" * 30_000, b"many\n")
    with pytest.raises(MapperError) as failed:
        await engine.collect(TOTALS, path)
    assert (failed.value.path, failed.value.line) == (path, 30_001)


async def test_an_error_in_a_pipe_names_the_line(engine):
    reader, writer = os.pipe()
    os.write(writer, b"1\n" * 10_000 + b"many\n")
    os.close(writer)
    try:
        with pytest.raises(MapperError, match=r"at /dev/fd/\d+, line 10001") as failed:
            await engine.collect(TOTALS, f"/dev/fd/{reader}")
    finally:
        os.close(reader)
    assert failed.value.line == 10_001


async def test_a_damaged_file_ends_the_job_and_leaves_no_output(engine, tmp_path):
    path = tmp_path / "numbers.gz"
    path.write_bytes(gzip.compress(b"1\n" * 10_000)[:-9])
    with pytest.raises(CorruptInputError):
        await engine.run(TOTALS, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mapper", MAPPERS)
async def test_json_lines_reach_mappers_of_every_kind(engine, tmp_path, mapper):
    (tmp_path / "orders").write_text("\n".join(order_lines()))
    job = Job(mapper=mapper, fold=operator.add)
    assert dict(await engine.collect(job, asyncmr.json_lines(tmp_path / "orders"))) == sums()


@pytest.mark.parametrize("mapper", [amounts, awaited_amounts])
async def test_a_line_that_is_no_json_is_told_with_its_place(engine, tmp_path, mapper):
    (tmp_path / "orders").write_text("\n".join(order_lines(BAD)))
    with pytest.raises(RecordError, match=r"orders, line 18\n  record: '\{oops'") as failed:
        await engine.collect(Job(mapper=mapper), asyncmr.json_lines(tmp_path / "orders"))
    error = failed.value
    assert (error.path, error.line, error.exception) == (
        str(tmp_path / "orders"), 18, "json.decoder.JSONDecodeError",
    )  # fmt: skip
    assert isinstance(error, InputError)


@pytest.mark.parametrize("mapper", MAPPERS)
async def test_lines_that_are_no_json_are_left_out_like_records_that_fail(limits, tmp_path, mapper):
    path = compressed(tmp_path, "orders", ".gz", "\n".join(order_lines(BAD)).encode())
    job = Job(mapper=mapper, fold=operator.add)
    async with Engine(workers=2, limits=limits, on_error="skip") as engine:
        result = await engine.collect(job, asyncmr.json_lines(path), dead_letters=tmp_path / "letters")
    assert dict(result) == sums(BAD)
    assert result.report.stages["map"].records_in == len(ORDERS)
    letters = [json.loads(line) for line in (tmp_path / "letters").read_text().splitlines()]
    assert [(letter["line"], letter["record"]) for letter in letters] == [(at + 1, "{oops") for at in BAD]


@pytest.mark.parametrize("format", ["text", "jsonl"])
async def test_what_a_job_wrote_is_the_source_of_another(engine, tmp_path, format):
    pairs = [(("a\t", 1), [1.5, None]), (("b", 2), "x\\n")]
    job = Job(mapper=lambda _key, number: [pairs[number]], reducer=listed)
    await engine.run(job, asyncmr.records([0, 1]), tmp_path / "out", format=format)
    back = await engine.collect(Job(mapper=same), asyncmr.pairs(tmp_path / "out", format=format))
    expected = {key: [value] for key, value in pairs}
    if format == "text":
        assert dict(back) == {str(key): str(value) for key, value in expected.items()}
    else:
        assert dict(back) == expected


async def test_a_pair_that_the_format_cannot_hold_fails_the_job_and_names_its_key(engine, tmp_path):
    job = Job(mapper=lambda _key, line: [((line, 1), line.encode())], partitions=2)
    with pytest.raises(FormatError, match=r"stage 'map|stage 'reduce'") as failed:
        await engine.run(job, asyncmr.records(["x"]), tmp_path / "out", format="jsonl")
    assert failed.value.key == "('x', 1)"
    assert not (tmp_path / "out").exists()


async def test_documents_reach_the_mapper_with_their_paths(engine, tmp_path):
    for number in range(200):
        (tmp_path / f"{number:03}").write_text("é\r\n" * number)
    result = await engine.collect(Job(mapper=lengths), asyncmr.documents(tmp_path))
    assert list(result) == [(f"{number:03}", 3 * number) for number in range(200)]


async def test_a_document_that_fails_is_named_and_has_no_line(engine, tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("x")
    with pytest.raises(MapperError, match=r"at .*/b\n") as failed:
        await engine.collect(TOTALS, asyncmr.documents(tmp_path))
    assert (failed.value.path, failed.value.line) == (str(tmp_path / "b"), None)


async def test_a_document_that_fails_can_be_left_out(limits, tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("x")
    async with Engine(workers=2, limits=limits, on_error="skip") as engine:
        result = await engine.collect(TOTALS, asyncmr.documents(tmp_path))
    assert dict(result) == {1: 1}
    (skipped,) = result.report.skipped
    assert (skipped.path, skipped.line) == (str(tmp_path / "b"), None)


async def test_an_async_iterable_is_read_and_closed(engine):
    closed = []

    async def feed():
        try:
            for number in range(3_000):
                yield number
        finally:
            closed.append(True)

    assert dict(await engine.collect(TOTALS, feed())) == {
        rest: sum(range(rest, 3_000, 7)) for rest in range(7)
    }
    assert closed == [True]


async def test_an_async_iterable_is_closed_when_the_job_fails(engine):
    closed = asyncio.Event()

    async def feed():
        try:
            while True:
                yield "many"
        finally:
            closed.set()

    with pytest.raises(MapperError):
        await engine.collect(TOTALS, feed())
    assert closed.is_set()


async def test_an_async_iterable_waits_while_its_mappers_are_busy(engine, trail):
    """What is drawn are the tasks of the workers and a few more, however much there is."""
    drawn = 0

    async def feed():
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn

    def never_done(_key, number):
        trail.mark()
        wait_for_ever()
        yield number, 1

    source = asyncmr.records(feed(), records_per_task=10)
    running = asyncio.create_task(engine.collect(Job(mapper=never_done), source))
    await trail.reach(2)
    before = -1
    while drawn > before:  # until the loop has gone round without a record more
        before = drawn
        for _ in range(100):
            await asyncio.sleep(0)
    assert drawn <= 10 * 10
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def numbered(flag):
    def mapper(_key, value):
        number = int(value if isinstance(value, str) else value["amount"])
        if number == 250 and os.path.exists(flag):
            raise ValueError("not yet")
        yield number % 7, number

    return mapper


@pytest.mark.parametrize("kind", ["gz", "jsonl", "documents"])
async def test_a_job_over_any_files_is_resumed(tmp_path, kind):
    (tmp_path / "in").mkdir()
    source: Documents | TextFiles
    if kind == "documents":
        for number in range(300):
            (tmp_path / "in" / f"{number:03}").write_text(str(number))
        source = Documents(tmp_path / "in", limit=100, split_bytes=2_000)
    elif kind == "gz":
        compressed(tmp_path / "in", "numbers", ".gz", "\n".join(map(str, range(300))).encode())
        source = TextFiles(tmp_path / "in", split_bytes=200)
    else:
        compressed(tmp_path / "in", "orders", ".bz2", "\n".join(order_lines()).encode())
        source = TextFiles(tmp_path / "in", split_bytes=2_000, decoder=JsonLines())
    flag = tmp_path / "flag"
    flag.touch()
    job = Job(mapper=numbered(str(flag)), reducer=listed, partitions=2)
    async with Engine(workers=2, limits=Limits(fused=0)) as engine:
        with pytest.raises(MapperError):
            await engine.run(job, source, tmp_path / "out", resume=tmp_path / "journal")
        flag.unlink()
        report = await engine.run(job, source, tmp_path / "out", resume=tmp_path / "journal")
        assert report.stages["map"].resumed > 0
        expected = await engine.run(job, source, tmp_path / "whole")
    assert report.stages["map"].records_in == expected.stages["map"].records_in == 300
    for name in ("part-00000", "part-00001"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
