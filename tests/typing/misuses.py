"""Misuses of the public face: mypy and pyright must call wrong each line marked so, and no other; never run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import asyncmr
from asyncmr import Job


def words(_key: None, line: str) -> Iterator[tuple[str, int]]:
    yield line, 1


def letters(_key: None, line: str) -> Iterator[str]:
    yield from line


def counted(_keys: None, lines: list[str]) -> Counter[str]:
    return Counter(lines)


def line_alone(line: str) -> Iterator[tuple[str, int]]:
    yield line, 1


def joined(left: int, right: int) -> str:
    return f"{left}{right}"


def total_of_texts(word: str, texts: Iterator[str]) -> Iterator[tuple[str, int]]:
    yield word, sum(map(len, texts))


def total(word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
    yield word, sum(counts)


def mean(word: str, counts: Iterator[int]) -> Iterator[tuple[str, float]]:
    yield word, sum(counts) / 2


class Longest:
    """An aggregator of texts."""

    def zero(self) -> str:
        return ""

    def add(self, acc: str, value: str) -> str:
        return max(acc, value, key=len)

    def merge(self, left: str, right: str) -> str:
        return max(left, right, key=len)

    def finish(self, acc: str) -> str:
        return acc


Job(mapper=letters)  # wrong
Job(mapper=counted)  # wrong
Job(mapper=line_alone)  # wrong
Job(mapper=letters, fold=max)  # wrong
Job(mapper=words, fold=joined)  # wrong
Job(mapper=words, fold=3)  # wrong
Job(mapper=words, reducer=total_of_texts)  # wrong
Job(mapper=words, combiner=mean, reducer=total)  # wrong
Job(mapper=words, combiner=total)  # wrong
Job(mapper=words, reducer=total, fold=max)  # wrong
Job(mapper=words, aggregator=Longest())  # wrong
Job(mapper=words, aggregator=asyncmr.Sum)  # wrong
Job(mapper=words, partitions="4")  # wrong
Job(mapper=words, sort="keys")  # wrong
Job(mapper=words, partitons=4)  # wrong
Job(fold=max)  # wrong
Job(mapper=words).then(words)  # wrong
Job(mapper=words).replace(partitons=4)  # wrong
asyncmr.batch(words)  # wrong
asyncmr.batch("columns")  # wrong
ages: Job[str, str] = Job(mapper=words)  # wrong
summed: Job[int, int] = Job(mapper=words, aggregator=asyncmr.Sum())  # wrong


async def misread() -> None:
    job = Job(mapper=words, aggregator=asyncmr.Sum())
    result = await asyncmr.collect(job, "books/")
    counts: dict[str, str] = dict(result)  # wrong
    for word, count in result:
        print(word + 1, count.upper())  # wrong
    async with asyncmr.stream(job, "books/") as pairs:
        async for _word, count in pairs:
            print(count.upper())  # wrong
    print(counts, result.reports)  # wrong
    await asyncmr.collect(words, "books/")  # wrong
    await asyncmr.collect(job, "books/", workers="4")  # wrong
    await asyncmr.run(job, "books/", "out/", wrokers=4)  # wrong
    asyncmr.start(job, "books/", resume="journal/")  # wrong
    async with asyncmr.Engine(workers="4") as engine:  # wrong
        await engine.run(job, 3, "out")  # wrong
