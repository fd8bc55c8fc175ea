"""Uses of the public face, checked by mypy in strict mode; never run."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

import asyncmr
from asyncmr import Engine, Job
from asyncmr.report import Progress, Report
from asyncmr.testing import check_reducer


def words(_key: None, line: str) -> Iterator[tuple[str, int]]:
    for word in line.split():
        asyncmr.counter("words", "all").increment()
        yield word, 1


@asyncmr.batch
def counted(_keys: None, lines: list[str]) -> Counter[str]:
    return Counter(" ".join(lines).split())


@asyncmr.batch("bytes", size="4 MiB", otherwise=counted)
def split(_keys: None, block: bytes) -> tuple[list[bytes], None]:
    return block.split(), None


def total(word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
    yield word, sum(counts)


def show(progress: Progress) -> None:
    for stage in progress.stages:
        name: str = stage.name
        done: int = stage.done
        whole: int | None = stage.total
        print(progress.job, name, done, whole, stage.unit)


classic: Job = Job(mapper=words, combiner=total, reducer=total, partitions=4, sort=True, name="words")
folded: Job = Job(mapper=words, fold=operator.add)
summed: Job = Job(mapper=words, aggregator=asyncmr.Sum())
in_batches: Job = Job(mapper=counted, fold=operator.add).then(Job(mapper=asyncmr.batch(split)))
in_order: Job = Job(mapper=words, sort="total")
unordered: Job = Job(mapper=words, fold=operator.add, commutative=True)
only_mapped: Job = Job(mapper=lambda key, line: [(key, line)])
chained: Job = classic.then(folded).replace(partitions=2)


def in_a_test() -> None:
    check_reducer(classic, [1, 2, 3])
    check_reducer(chained, records=["to be", "or not to be"])
    check_reducer(fold=operator.add, examples={"a": [1.0, 2.0], "b": []}, commutative=True, tolerance=1e-9)
    check_reducer(aggregator=asyncmr.Sum(), strategy=st.integers(), groups=50, seed=1)


async def at_once() -> None:
    result = await asyncmr.collect(classic, "books/*.txt")
    pairs: list[tuple[Any, Any]] = list(result)
    print(len(result), pairs, result.report.as_dict())

    report: Report = await asyncmr.run(classic, ["a.txt", "b.txt"], "out/")
    figures: dict[str, Any] = report.as_dict()
    print(figures, report.seconds, report.counters["words"]["all"])

    async with asyncmr.stream(classic, "books/") as stream:
        async for word, count in stream:
            print(word, count)
    print(stream.report)


async def shared() -> None:
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
        result = await engine.collect(classic, "books/*.txt", progress=show)
        report = await engine.run(folded, "books/*.txt", "out/", progress=show, dead_letters="bad.jsonl")
        for skipped in report.skipped:
            where: tuple[str, str | None, int | None] = (skipped.stage, skipped.path, skipped.line)
            print(where, skipped.record or skipped.key, skipped.error, skipped.message)
        async with engine.stream(chained, "books/*.txt", progress=show) as stream:
            async for pair in stream:
                print(pair)
        print(len(result), report, stream.report)


async def careful() -> None:
    try:
        await asyncmr.collect(classic, "books/*.txt")
    except asyncmr.SkipLimitError as error:
        print(error.skipped, error.limit, error.path)
    except asyncmr.UserCodeError as error:
        place: tuple[str, str, str | None, int | None] = (error.job, error.stage, error.path, error.line)
        print(place, error.excerpt)
    except asyncmr.AsyncMRError as error:
        print(error)
