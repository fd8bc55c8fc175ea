"""What a caller means by a source, and the sources that have a name of their own.

What each is made of is imported when one is made: a user's script imports this module in every worker.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from asyncmr.errors import UsageError
from asyncmr.protocols import Source, is_source

if TYPE_CHECKING:
    from asyncmr.connectors.async_records import AsyncRecords
    from asyncmr.connectors.documents import Documents
    from asyncmr.connectors.memory import Records
    from asyncmr.connectors.text import TextFiles

Path = str | os.PathLike[str]
OneSource = Path | Iterable[Path] | AsyncIterable[Any] | Source
AnySource = OneSource | Mapping[str, OneSource]


def source_of(source: object) -> Source:
    """The source that a caller means: text files for paths, records for an async iterable, a source as it is.

    Raises:
        UsageError: it is none.
    """
    if isinstance(source, str | os.PathLike):
        return _text_files(source)
    if is_source(source):
        return source
    if isinstance(source, AsyncIterable):
        return records(source)
    if isinstance(source, Mapping):
        raise UsageError(
            "sources with names need a job that has a mapper for each, Job(mapper={name: function, ...}); "
            "without one, pass a list of paths"
        )
    if isinstance(source, Iterable) and not isinstance(source, bytes):
        return _text_files(_paths(source))
    if callable(source):
        raise UsageError(f"{a(source)} is no source; call it, and pass what it returns")
    raise UsageError(
        f"{a(source)} is no source; pass a path, a glob, a folder or a list of these, "
        "or wrap records that are in memory in asyncmr.records(...)"
    )


def _text_files(paths: Path | list[Path]) -> Source:
    from asyncmr.connectors.text import TextFiles

    return TextFiles(paths)


def _paths(items: Iterable[Any]) -> list[Path]:
    paths: list[Path] = []
    for item in items:  # which may never end, if they are records
        if is_source(item) or (isinstance(item, AsyncIterable) and not isinstance(item, str)):
            raise UsageError(
                f"a list of sources names paths only, and this one holds {a(item)}; "
                "pass that alone, or all paths to it, as in asyncmr.json_lines([...])"
            )
        if not isinstance(item, str | os.PathLike):
            raise UsageError(
                f"a list as a source names paths, and this one holds {a(item)}; "
                "wrap records that are in memory in asyncmr.records(...)"
            )
        paths.append(item)
    return paths


def a(thing: object) -> str:
    """What a message calls it: its type, with an article."""
    name = type(thing).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


@overload
def records(iterable: Iterable[Any], *, records_per_task: int | None = ...) -> Records: ...
@overload
def records(iterable: AsyncIterable[Any], *, records_per_task: int | None = ...) -> AsyncRecords: ...
def records(
    iterable: Iterable[Any] | AsyncIterable[Any], *, records_per_task: int | None = None
) -> Records | AsyncRecords:
    """Records in memory, or as they come, as a source: each reaches the mapper as `(None, record)`.

        result = await asyncmr.collect(job, asyncmr.records(["to be", "or not"]))

    An async iterable is drawn from on the event loop and no faster than the job maps, and is closed at the end, also if
    the job fails or is cancelled. One that raises ends the job with an `InputError`. An iterator can be read by one
    job only, a list by any number.

    `records_per_task`: how many make a task; by default what is about a megabyte, or 65,536. A task begins when it has
    all of its records, however slowly they come: its result would show no earlier. Where each record takes long to
    map, ask for fewer.

    Raises:
        UsageError: it is no iterable, or `records_per_task` is less than 1.
    """
    if isinstance(iterable, AsyncIterable):
        from asyncmr.connectors.async_records import AsyncRecords

        return AsyncRecords(iterable, records_per_task=records_per_task)
    from asyncmr.connectors.memory import Records

    return Records(iterable, records_per_task=records_per_task)


def json_lines(paths: Path | Iterable[Path]) -> TextFiles:
    """Files of JSON, one value a line; each reaches the mapper as `(None, value)`, parsed in the worker.

        def prices(_key, order):
            yield order["product"], order["price"]

        await asyncmr.run(asyncmr.Job(mapper=prices, fold=max), asyncmr.json_lines("orders/*.jsonl.gz"), "out/")

    `paths` are those of text files, compressed ones included. A line that is no JSON, an empty one too, is a
    `RecordError` with file and line; with `on_error="skip"` it is left out, and told, like a record on which the
    mapper raises.
    """
    from asyncmr.connectors.text import TextFiles
    from asyncmr.kernel.json_lines import JsonLines

    return TextFiles(paths, decoder=JsonLines())


def pairs(paths: Path | Iterable[Path], *, format: Literal["text", "jsonl"] = "text") -> TextFiles:
    """What a job wrote, as the source of another: each pair reaches the mapper as `(key, value)`.

        await asyncmr.run(count, "books/", "counts/", format="jsonl")
        await asyncmr.run(top, asyncmr.pairs("counts/", format="jsonl"), "top/")

    With "text" key and value are str, and the value None of a key alone on its line. With "jsonl" they are what they
    were, but tuples in values are lists.

    Raises:
        UsageError: `format` is none of these.
    """
    from asyncmr.connectors.text import TextFiles

    if format == "jsonl":
        from asyncmr.kernel.json_lines import JsonPairs

        return TextFiles(paths, decoder=JsonPairs())
    if format != "text":
        raise UsageError(f'format={format!r} is not known; the formats are "text" and "jsonl"')
    from asyncmr.kernel.text_pairs import TextPairs

    return TextFiles(paths, decoder=TextPairs())


def documents(paths: Path | Iterable[Path], *, limit: int | str = "256 MiB") -> Documents:
    """Files as whole documents: each reaches the mapper as `(path, text)`.

        def senders(path, text):
            yield email.message_from_string(text)["From"], path

        result = await asyncmr.collect(asyncmr.Job(mapper=senders), asyncmr.documents("mails/**/*.eml"))

    `paths` are those of text files, compressed ones included. The text is UTF-8, invalid bytes replaced, and every line
    end as it is in the file. Small files share a task. A document is one record, and so in memory as a whole: one of
    more bytes than `limit` is an `InputError`.

    Raises:
        UsageError: `limit` is no size.
    """
    from asyncmr.connectors.documents import Documents
    from asyncmr.sizes import parse_size

    return Documents(paths, limit=parse_size(limit))
