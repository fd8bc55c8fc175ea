"""Timestamps: where in a line its time is.

The pattern is applied to many lines at a time: one regular expression takes a line each time and gives its mark, the
text of the time, which `instants` reads. Where the pattern could see more than its line, the lines are searched one by
one, which is the definition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from asyncmr.errors import UsageError
from asyncmr.kernel.decoding import TextLines

# What makes a pattern see beyond its line, or its own end: the ends of the text, lookarounds, flags.
_FAR_SIGHTED = re.compile(r"\\[AZ]|\(\?(?![:P])")

# A pattern that looks for what is not there looks no further than this, from each of its lines.
_AT_ONCE = 4 << 10

Marks = list[Hashable]


@dataclass(frozen=True, slots=True)
class Timestamp:
    r"""Where the time of a line is: a regular expression, whose first group is the time, or "json:" and a path.

        Timestamp(r"^(\S+)")         # 2026-11-21T20:59:00Z GET /
        Timestamp(r"\[([^\]]+)\]")   # 127.0.0.1 - - [21/Nov/2026:20:59:00 +0000] "GET /"
        Timestamp("json:meta.time")  # {"meta": {"time": 1795294740.5}}

    Without a group, the whole match is the time. The expression sees the bytes of a line, without its line end, so
    that `\w` and `\d` mean ASCII. A path is names of members, and numbers of elements, with dots between.
    A time is ISO 8601 (UTC where it names no zone), as web servers log it, or a number since 1970, of seconds,
    milliseconds, microseconds or nanoseconds, which its size tells apart. What is finer than a millisecond is dropped.

    Raises:
        UsageError: it is no regular expression, or it or the path is empty.
    """

    where: str

    def __post_init__(self) -> None:
        where: object = self.where
        if not (isinstance(where, str) and where.strip()):
            raise UsageError(
                f"the timestamp {where!r} says nothing; give a regular expression whose first group is the time, "
                r'such as "^(\S+)", or json:path'
            )
        _reader(self.where)

    def marks(self, data: bytes) -> Marks:
        """The mark of each line, in which `time_of` reads the time; None and empty ones are of lines without."""
        return _reader(self.where)(data)

    def __str__(self) -> str:
        return self.where


@lru_cache(maxsize=64)
def _reader(where: str) -> Callable[[bytes], Marks]:
    if where.startswith("json:"):
        return _json_reader(where.removeprefix("json:"))
    return _pattern_reader(where)


def _pattern_reader(where: str) -> Callable[[bytes], Marks]:
    try:
        source = where.encode()
        alone = re.compile(source, re.MULTILINE)
        if not alone.groups:
            source = b"(" + source + b")"
            alone = re.compile(source, re.MULTILINE)
        many, whole = alone.groups > 1, None
        if not _FAR_SIGHTED.search(where):
            whole = re.compile(rb"^(?:[^\n]*?(?:" + source + rb")[^\n]*+|[^\n]*+)\n", re.MULTILINE)
    except re.error as error:
        raise UsageError(
            f"the timestamp {where!r} is no regular expression ({error}); give one whose first group is the "
            r'time, such as "^(\S+)", or json:path'
        ) from error

    def read(data: bytes) -> Marks:
        if not data:
            return []
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if not data.endswith(b"\n"):
            data += b"\n"
        marks: Marks = []
        for start, stop in TextLines().blocks(memoryview(data), 0, len(data), _AT_ONCE):
            if whole is not None:
                found: Any = whole.findall(data, start, stop)
                # One that ran over a line end took several lines.
                if len(found) == data.count(b"\n", start, stop):
                    marks += [groups[0] for groups in found] if many else found
                    continue
            matches = map(alone.search, data[start : stop - 1].split(b"\n"))
            marks += [None if match is None else match[1] for match in matches]
        return marks

    return read


def _json_reader(path: str) -> Callable[[bytes], Marks]:
    steps = path.split(".")
    if not all(steps):
        raise UsageError(
            f'the timestamp "json:{path}" names no member; write "json:time", or "json:meta.time" for one '
            "within another"
        )
    scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]

    def value_of(record: Any) -> Hashable:
        for step in steps:
            if isinstance(record, dict):
                record = record.get(step)
            elif isinstance(record, list) and step.isdecimal() and int(step) < len(record):
                record = record[int(step)]
            else:
                return None
        # True is no time, and equals 1, which is one.
        return record if isinstance(record, str | int | float) and not isinstance(record, bool) else None

    def marks(data: bytes) -> Marks:
        if not data:
            return []
        text = str(data, "utf-8", "replace").replace("\r\n", "\n")
        found: Marks = []
        at = 0
        while at < len(text):
            end = text.find("\n", at)
            if end < 0:
                end = len(text)
            try:
                record, behind = scan(text, at)
                if behind != end:
                    record = json.loads(text[at:end])
            except (StopIteration, ValueError, RecursionError):
                record = _loaded(text[at:end])
            found.append(value_of(record))
            at = end + 1
        return found

    return marks


def _loaded(line: str) -> Any:
    """The value in a line with blanks around it; None if there is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
