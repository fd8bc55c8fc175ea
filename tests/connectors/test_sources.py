"""What a caller means by a source."""

from __future__ import annotations

from pathlib import Path

import pytest

import asyncmr
from asyncmr.connectors.async_records import AsyncRecords
from asyncmr.connectors.documents import Documents
from asyncmr.connectors.memory import Records
from asyncmr.connectors.sources import source_of
from asyncmr.connectors.text import TextFiles
from asyncmr.errors import UsageError
from asyncmr.kernel.json_lines import JsonLines, JsonPairs
from asyncmr.kernel.text_pairs import TextPairs


async def feed():
    yield 1


@pytest.mark.parametrize(
    "paths", ["a.txt", Path("a.txt"), "-", ["a.txt", Path("b")], ("a.txt",), [], Path(".").glob("*.none")]
)
def test_paths_are_text_files(paths) -> None:
    assert isinstance(source_of(paths), TextFiles)


def test_an_async_iterable_is_records() -> None:
    assert isinstance(source_of(feed()), AsyncRecords)
    assert isinstance(asyncmr.records(feed()), AsyncRecords)
    assert isinstance(asyncmr.records([1]), Records)


def test_a_source_is_itself() -> None:
    source = asyncmr.documents("a")
    assert source_of(source) is source


def test_named_sources_have_their_formats() -> None:
    assert asyncmr.json_lines("a").decoder == JsonLines()
    assert asyncmr.pairs(["a"]).decoder == TextPairs()
    assert asyncmr.pairs("a", format="jsonl").decoder == JsonPairs()
    assert isinstance(asyncmr.documents("a", limit="1 MiB"), Documents)


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (5, "an int is no source"),
        (None, "a NoneType is no source"),
        (b"a.txt", "a bytes is no source"),
        ([1, 2], r"holds an int; wrap .* asyncmr\.records"),
        (iter([{}]), r"holds a dict; wrap"),
        (["a.txt", asyncmr.records([1])], "names paths only, and this one holds a Records"),
        ({"users": "a.txt"}, "sources with names need"),
        (feed, "call it"),
    ],
)
def test_anything_else_is_refused_with_what_to_do(thing, says) -> None:
    with pytest.raises(UsageError, match=says):
        source_of(thing)


def test_formats_that_there_are_not_are_refused() -> None:
    with pytest.raises(UsageError, match='the formats are "text" and "jsonl"'):
        asyncmr.pairs("a", format="csv")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="is not a size"):
        asyncmr.documents("a", limit="much")


def test_an_endless_iterator_of_records_is_refused_at_its_first() -> None:
    with pytest.raises(UsageError, match="holds an int"):
        source_of(iter(int, 1))
