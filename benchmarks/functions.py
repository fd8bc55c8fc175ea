"""The user functions of the workloads: every contender that calls Python functions calls these."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

Traffic = tuple[int, int, int]


def words(line: str) -> Iterator[tuple[str, int]]:
    """The words of a line, once each time they occur."""
    for word in line.split():
        yield word, 1


def postings(line: str) -> Iterator[tuple[str, int]]:
    """The different words of a document, which is one line `<number><TAB><text>`, with its number."""
    document, _, text = line.partition("\t")
    number = int(document)
    for word in set(text.split()):
        yield word, number


def sorted_documents(numbers: Iterable[int]) -> list[int]:
    return sorted(set(numbers))


def show_documents(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))


def traffic(line: str) -> Iterator[tuple[str, Traffic]]:
    """The user of a log record in JSON, with the sum, number and maximum of the bytes sent."""
    record = json.loads(line)
    size = record["bytes"]
    yield record["user"], (size, 1, size)


def combined_traffic(parts: Iterable[Traffic]) -> Traffic:
    total = number = most = 0
    for size, count, largest in parts:
        total += size
        number += count
        if largest > most:
            most = largest
    return total, number, most


def merged_traffic(left: Traffic, right: Traffic) -> Traffic:
    return left[0] + right[0], left[1] + right[1], max(left[2], right[2])


def show_traffic(found: Traffic) -> str:
    total, number, most = found
    return f"{total} {total / number:.3f} {most}"


def keyed(line: str) -> Iterator[tuple[str, str]]:
    """A record of 100 bytes by its key, the first ten."""
    yield line[:10], line[10:]


def burn(line: str) -> Iterator[tuple[str, int]]:
    """About 50 ms of arithmetic, whose result depends on all of it."""
    state = int(line)
    for _ in range(700_000):
        state = (state * 69_069 + 1) & 0xFFFFFFFF
    yield line, state
