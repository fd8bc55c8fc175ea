"""Ready-made jobs."""

from __future__ import annotations

from collections.abc import Iterator

from asyncmr.aggregators import Count
from asyncmr.job import Job


def words(_key: object, line: str) -> Iterator[tuple[str, None]]:
    """The words of a line, as `str.split` finds them."""
    for word in line.split():
        yield word, None


def whole_line(_key: object, line: str) -> tuple[tuple[str, None]]:
    """A line as a key, without a value."""
    return ((line, None),)


sort = Job(mapper=whole_line, sort="total", name="sort")
wordcount = Job(mapper=words, aggregator=Count(), name="wordcount")
