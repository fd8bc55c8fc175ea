"""Uses of the public face, checked by mypy in strict mode and by pyright; never run."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import PurePath
from typing import Any, assert_type

from hypothesis import strategies as st

import asyncmr
from asyncmr import Engine, Job, PairStream, Progress, Result, RunningJob, StartedJob
from asyncmr.progress import JobState
from asyncmr.protocols import Buffers, Decoder, Encoder, PartWriter, SourceInfo, Split
from asyncmr.report import Report
from asyncmr.testing import check_reducer


def words(_key: None, line: str) -> Iterator[tuple[str, int]]:
    for word in line.split():
        asyncmr.counter("words", "all").increment()
        yield word, 1


def by_count(word: str, count: float) -> list[tuple[float, str]]:
    return [(count, word)]


async def fetched(_key: object, url: str) -> list[tuple[str, bytes]]:
    return [(url, b"")]


async def streamed(_key: object, url: str) -> AsyncIterator[tuple[str, bytes]]:
    yield url, b""


async def gathered(_url: str, pages: asyncmr.Values[bytes]) -> list[tuple[str, int]]:
    return [("bytes", len(b"".join(pages)))]


async def saved(user: str, events: asyncmr.Values[int]) -> AsyncIterator[tuple[str, float]]:
    async for event in events:
        yield user, event / sum(events)


def untyped(key, record):  # type: ignore[no-untyped-def]  # pyright: ignore
    yield record["user"], record["age"]  # pyright: ignore


@asyncmr.batch
def counted(_keys: None, lines: list[str]) -> Counter[str]:
    return Counter(" ".join(lines).split())


@asyncmr.batch("bytes", size="4 MiB", otherwise=counted)
def split(_keys: None, block: bytes) -> tuple[list[bytes], None]:
    return block.split(), None


@asyncmr.batch(size=1_000_000)
def lengths(_keys: None, lines: list[str]) -> tuple[list[str], list[int]]:
    return lines, list(map(len, lines))


def total(word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
    yield word, sum(counts)


def mean(word: str, counts: Iterable[int]) -> Iterator[tuple[str, float]]:
    values = list(counts)
    yield word, sum(values) / len(values)


class Repeated:
    """Mappers that are objects, methods, and functions with a setting."""

    def __call__(self, _key: None, line: str) -> Iterator[tuple[str, int]]:
        yield line, 2

    def many(self, times: int, _key: None, line: str) -> Iterator[tuple[str, set[int]]]:
        yield line, {times}


class Mean:
    """A mean, as an aggregator that names its own types."""

    def zero(self) -> tuple[float, int]:
        return 0.0, 0

    def add(self, acc: tuple[float, int], value: float) -> tuple[float, int]:
        return acc[0] + value, acc[1] + 1

    def merge(self, left: tuple[float, int], right: tuple[float, int]) -> tuple[float, int]:
        return left[0] + right[0], left[1] + right[1]

    def finish(self, acc: tuple[float, int]) -> float:
        return acc[0] / acc[1]


def at_least(length: int) -> asyncmr.Mapper[str, int]:
    return lambda _key, line: [(word, 1) for word in line.split() if len(word) >= length]


def scaled(by: float) -> asyncmr.Reducer[str, int, str, float]:
    return lambda word, counts: [(word, sum(counts) * by)]


# What a job gives follows from its functions.
only_mapped = assert_type(Job(mapper=words), Job[str, int])
classic = assert_type(Job(mapper=words, combiner=total, reducer=mean), Job[str, float])
summed = assert_type(Job(mapper=words, aggregator=asyncmr.Sum()), Job[str, int])
sizes = assert_type(Job(mapper=lengths, aggregator=asyncmr.Count(), sort=True), Job[str, int])
means = assert_type(Job(mapper=words, aggregator=Mean()), Job[str, float])
largest = assert_type(Job(mapper=words, aggregator=asyncmr.Max()), Job[str, int])
averages = assert_type(Job(mapper=words, aggregator=asyncmr.Mean()), Job[str, float])
top = assert_type(Job(mapper=words, aggregator=asyncmr.TopK(3)), Job[str, list[Any]])
longest = assert_type(Job(mapper=words, fold=max, commutative=True), Job[str, int])
in_batches = assert_type(Job(mapper=counted, fold=max), Job[str, int])
pages = assert_type(Job(mapper=fetched), Job[str, bytes])
more_pages = assert_type(Job(mapper=streamed, partitions=4), Job[str, bytes])
awaited = assert_type(Job(mapper=fetched, reducer=gathered, concurrency=100), Job[str, int])
saves = assert_type(Job(mapper=words, reducer=saved), Job[str, float])
either = assert_type(Job(mapper={"books": words, "papers": words}, reducer=total), Job[str, int])
made = assert_type(Job(mapper=at_least(3), reducer=scaled(0.5)), Job[str, float])
called = assert_type(Job(mapper=Repeated(), fold=min), Job[str, int])
partly = assert_type(Job(mapper=partial(Repeated().many, 3)), Job[str, set[int]])
chained = assert_type(classic.then(Job(mapper=by_count)), Job[float, str])
renamed = assert_type(classic.replace(name="means", partitions=2), Job[str, float])
other = assert_type(classic.replace(fold=max, reducer=None), Job[Any, Any])

# Jobs of lambdas, and of functions without annotations, give anything.
folded: Job[str, int] = Job(mapper=words, fold=operator.add, name="words", sort="total")
united: Job[str, set[int]] = Job(mapper=partial(Repeated().many, 3), fold=lambda a, b: a | b)
anything: Job = Job(mapper=lambda key, line: [(line.strip(), 1)], fold=lambda a, b: a + b)
looked_up: Job = Job(mapper=lambda _, user: [(user["city"], 1)], aggregator=asyncmr.Sum())
listed: Job = Job(
    mapper=lambda _, line: ((w, 1) for w in line.split()), reducer=lambda k, vs: [(k, list(vs))]
)
free: Job = Job(mapper=untyped, reducer=total).then(Job(mapper=split))  # pyright: ignore


def reused(job: Job[str, float]) -> Job[str, float]:
    return job.replace(name="again")


reused(summed)  # ints will do where floats are read


def in_a_test() -> None:
    assert_type(counted(None, ["to be"])["to"], int)  # a batch function can still be called
    check_reducer(classic, [1, 2, 3])
    check_reducer(chained, records=["to be", "or not to be"])
    check_reducer(fold=operator.add, examples={"a": [1.0, 2.0], "b": []}, commutative=True, tolerance=1e-9)
    check_reducer(aggregator=asyncmr.Sum(), strategy=st.integers(), groups=50, seed=1)


async def at_once() -> None:
    result = await asyncmr.collect(classic, "books/*.txt", workers=2)
    assert_type(result, Result[str, float])
    assert_type(list(result), list[tuple[str, float]])
    assert_type(dict(result), dict[str, float])
    assert_type(len(result), int)
    assert_type(result.report.as_dict(), dict[str, Any])

    report = assert_type(await asyncmr.run(classic, ["a.txt", "b.txt"], "out/"), Report)
    assert_type(report.counters["words"]["all"], int)

    async with asyncmr.stream(classic, "books/") as stream:
        assert_type(stream, PairStream[str, float])
        async for word, mean in stream:
            assert_type((word, mean), tuple[str, float])
        assert_type(stream.report, Report)


async def on_an_engine(source: asyncmr.Source, show: asyncmr.progress.ProgressCallback) -> None:
    async with Engine(
        workers=4,
        memory="512 MiB",
        retries=2,
        task_timeout=60.0,
        on_error="skip",
        skip_limit=0.01,
        executor="process",
        spill_dir="/var/tmp",
        spill_compression="zstd",
    ) as engine:
        counts = dict(await engine.collect(summed, "books/*.txt", progress=show))
        assert_type(counts, dict[str, int])
        assert_type(dict(await engine.collect(free, asyncmr.records([{}]))), dict[Any, Any])
        report = await engine.run(folded, source, "out/", progress=show, dead_letters="bad.jsonl")
        for skipped in report.skipped:
            assert_type((skipped.stage, skipped.path, skipped.line), tuple[str, str | None, int | None])
        async with engine.stream(chained, "books/*.txt", progress=show) as stream:
            async for keys, values in stream.columns():
                assert_type((keys, values), tuple[list[float], list[str]])


async def beside(engine: Engine) -> None:
    async with engine.start(summed, "books/*.txt", "out/", format="text") as writing:
        assert_type(writing, StartedJob[Report])
        assert_type(await writing, Report)
        async for progress in writing.updates(interval=1):
            assert_type(progress, Progress)
        assert_type(writing.report, Report)
    async with engine.start(summed, "books/*.txt") as collecting:
        assert_type(await collecting, Result[str, int])
        collecting.cancel()
    async with asyncmr.start(summed, "books/*.txt", "out/", share=0.5) as alone:
        assert_type(await alone, Report)
    for job in engine.jobs:
        assert_type(job, RunningJob)
        assert_type((job.name, job.started, job.state), tuple[str, datetime, JobState])


def show(progress: Progress) -> None:
    assert_type(progress.as_dict(), dict[str, Any])
    for stage in progress.stages:
        assert_type((stage.name, stage.done, stage.total, stage.unit), tuple[str, int, int | None, str])


async def careful() -> None:
    try:
        await asyncmr.collect(classic, "books/*.txt", progress=show)
    except asyncmr.SkipLimitError as error:
        print(error.skipped, error.limit, error.path)
    except asyncmr.UserCodeError as error:
        assert_type((error.job, error.stage, error.line), tuple[str, str, int | None])
        print(error.path, error.excerpt)
    except asyncmr.AsyncMRError as error:
        print(error)


@dataclass(frozen=True)
class Rows:
    """A source of one's own; names of arguments are free."""

    rows: list[bytes]
    decoder: Decoder

    async def prepare(self, _disk: Any) -> SourceInfo:
        return SourceInfo(bytes=sum(map(len, self.rows)))

    async def splits(self, _buffers: Buffers) -> AsyncGenerator[Split, None]:
        for index, row in enumerate(self.rows):
            yield Split(index, len(row), row)


@dataclass
class Sent:
    """A sink of one's own."""

    encoder: Encoder
    writer: PartWriter

    async def open(self, _disk: Any) -> None: ...
    async def part(self, number: int, _attempt: int) -> PartWriter:
        return self.writer

    async def accept(self, number: int, writer: PartWriter) -> None: ...
    async def commit(self) -> None: ...
    async def abort(self) -> None: ...


def plugged(decoder: Decoder, encoder: Encoder, writer: PartWriter) -> tuple[asyncmr.Source, asyncmr.Sink]:
    return Rows([b"to be\n"], decoder), Sent(encoder, writer)


async def everything_in(engine: Engine, feed: AsyncIterator[dict[str, int]], rows: Rows, sent: Sent) -> None:
    await engine.collect(summed, ["a.txt.gz", PurePath("b.txt"), "-"])
    await engine.collect(free, feed)
    await engine.collect(free, asyncmr.records(feed, records_per_task=10))
    await engine.collect(free, asyncmr.json_lines("orders/*.jsonl"))
    await engine.collect(free, asyncmr.documents(PurePath("mails"), limit="1 MiB"))
    await engine.run(free, asyncmr.pairs(["out/"], format="jsonl"), "again/", format="jsonl")
    assert_type(await engine.run(summed, rows, sent), Report)
    try:
        assert_type(await asyncmr.run(summed, "-", sent), Report)
    except asyncmr.RecordError as error:
        assert_type((error.path, error.line), tuple[str | None, int | None])
    except asyncmr.CorruptInputError as error:
        assert_type((error.path, error.offset), tuple[str, int])
    except asyncmr.FormatError as error:
        assert_type(error.key, str)


def of_user(_key: None, line: str) -> Iterator[tuple[int, str]]:
    yield 1, line


def of_order(_key: None, order: dict[str, int]) -> Iterator[tuple[int, float]]:
    yield order["user"], order["sum"]


def joined(user: int, values: Iterator[str | float]) -> Iterator[tuple[int, tuple[str | float, ...]]]:
    yield user, (*values, asyncmr.context()[user])


async def several_inputs(engine: Engine) -> None:
    job = Job(mapper={"users": of_user, "orders": of_order}, reducer=joined, setup=dict[int, str])
    assert_type(job, Job[int, tuple[str | float, ...]])
    await engine.run(job, {"users": "users/*.csv", "orders": asyncmr.records([{"user": 1}])}, "out")
    await engine.collect(job, {"users": ["a", "b"], "orders": asyncmr.records([])})
