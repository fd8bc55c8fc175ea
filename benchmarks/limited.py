"""The jobs of the memory study, as asyncmr's: `asyncmr run benchmarks.limited:index ...` runs one.

Their reducers stream: none holds the values of a key.
"""

from __future__ import annotations

from collections.abc import Iterator

from asyncmr import Job
from benchmarks import functions


def words(_key: object, line: str) -> Iterator[tuple[str, int]]:
    return functions.words(line)


def total(word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
    yield word, sum(counts)


def postings(_key: object, line: str) -> Iterator[tuple[str, int]]:
    return functions.postings(line)


def frequency(word: str, documents: Iterator[int]) -> Iterator[tuple[str, str]]:
    """How many documents have the word, and the sum of their numbers."""
    number = checksum = 0
    for document in documents:
        number += 1
        checksum += document
    yield word, f"{number} {checksum}"


def line_as_key(_key: object, line: str) -> list[tuple[str, None]]:
    return [(line, None)]


def payloads(_key: object, line: str) -> Iterator[tuple[str, str]]:
    key, _, payload = line.partition("\t")
    yield key, payload


def summary(key: str, values: Iterator[str]) -> Iterator[tuple[str, str]]:
    """How many values there are, and the sum of the numbers that they begin with."""
    number = checksum = 0
    for payload in values:
        number += 1
        checksum += int(payload[:6])
    yield key, f"{number} {checksum}"


wordcount = Job(mapper=words, combiner=total, reducer=total, name="wordcount")
index = Job(mapper=postings, reducer=frequency, name="index")
hot = Job(mapper=payloads, reducer=summary, name="hot")
unique = Job(mapper=payloads, reducer=summary, name="unique")
sort = Job(mapper=line_as_key, sort="total", name="sort")

CORPORA = {"wordcount": "words", "index": "documents", "sort": "records", "hot": "hot", "unique": "unique"}
"""The input of each job."""
