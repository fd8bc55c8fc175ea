"""Timestamps: where in a line its time is, and what time that is.

The pattern is applied to a whole block of lines at a time: one regular expression takes a line each time and gives its
mark, the text of the time. A mark is read once, however many lines of the block have it. Where the pattern could see
more than its line, the lines are searched one by one, which is the definition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from asyncmr.errors import UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
# By its size a number is seconds, milliseconds, microseconds or nanoseconds: seconds end here in the year 5138,
# milliseconds begin in 1973. What a number below each limit is multiplied with, and divided by.
_SCALES = ((10**11, 1000, 1), (10**14, 1, 1), (10**17, 1, 1000), (10**20, 1, 1_000_000))
_MOST_DIGITS = 20
# The marks of lines without a time.
_NOTHING: frozenset[Hashable] = frozenset((None, "", b""))

# The time of web servers' logs: 21/Nov/2026:20:59:00 +0000
_LOGGED = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d)(?: ([+-]\d{4}))?")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# What makes a pattern see beyond its line, or its own end: the ends of the text, lookarounds, flags.
_FAR_SIGHTED = re.compile(r"\\[AZ]|\(\?(?![:P])")

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

    def marks(data: bytes) -> Marks:
        if not data:
            return []
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if not data.endswith(b"\n"):
            data += b"\n"
        if whole is not None:
            found: Any = whole.findall(data)
            # One that ran over a line end took several lines.
            if len(found) == data.count(b"\n"):
                return [groups[0] for groups in found] if many else list(found)
        matches = map(alone.search, data[:-1].split(b"\n"))
        return [None if match is None else match[1] for match in matches]

    return marks


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


def times_of(marks: Iterable[Hashable]) -> dict[Hashable, int | None]:
    """The time of each mark, as `time_of` has it."""
    found = set(marks)
    times: dict[Hashable, int | None] = dict.fromkeys(found & _NOTHING)
    texts: set[Any] = found - _NOTHING
    first: Any = next(iter(texts), None)
    kind = type(first)
    if kind not in (bytes, str) or first[4:5] not in (b"-", "-") or set(map(type, texts)) != {kind}:
        return times | {mark: time_of(mark) for mark in texts}
    # Most lines of a second have the first half in common, and the lines of many seconds the second one.
    seconds = {half: _second(half) if _ends_at_a_second(half) else None for half in {t[:19] for t in texts}}
    rests = {half: _rest(half) for half in {text[19:] for text in texts}}
    for text in texts:
        second, rest = seconds[text[:19]], rests[text[19:]]
        times[text] = time_of(text) if second is None or rest is None else second + rest
    return times


def time_of(mark: Hashable) -> int | None:
    """Milliseconds since 1970; None if it is no time."""
    if isinstance(mark, bytes):
        if mark.isdigit():
            return _from_digits(mark)
        text = str(mark, "utf-8", "replace")
    elif isinstance(mark, int | float):
        text = repr(mark)
    elif isinstance(mark, str):
        text = mark
    else:
        return None
    text = text.strip()
    if text.isdigit() and text.isascii():
        return _from_digits(text)
    if _DECIMAL.fullmatch(text):
        return _from_decimal(text)
    millis = _from_iso(text)
    return _from_log(text) if millis is None else millis


def _from_digits(text: str | bytes) -> int | None:
    if len(text) <= _MOST_DIGITS:
        number = int(text)
        for limit, factor, divisor in _SCALES:
            if number < limit:
                return number * factor // divisor
    return None


def _from_decimal(text: str) -> int | None:
    if len(text) <= 2 * _MOST_DIGITS:
        number = Decimal(text)
        for limit, factor, divisor in _SCALES:
            if abs(number) < limit:
                return int((number * factor / divisor).to_integral_value("ROUND_FLOOR"))
    return None


def _from_iso(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def _ends_at_a_second(half: str | bytes) -> bool:
    """Whether it looks like 2026-11-21T20:59:00."""
    text = str(half, "utf-8", "replace") if isinstance(half, bytes) else half
    return text[4:5] == text[7:8] == "-" and text[13:14] == text[16:17] == ":"


@lru_cache(maxsize=1024)
def _second(half: str | bytes) -> int | None:
    """The first half of an ISO 8601 time, up to the second, as one in UTC."""
    return _from_iso(str(half, "utf-8", "replace") if isinstance(half, bytes) else half)


@lru_cache(maxsize=2048)
def _rest(half: str | bytes) -> int | None:
    """What the second half adds: the fraction of the second, and the zone."""
    text = str(half, "utf-8", "replace") if isinstance(half, bytes) else half
    return _from_iso(f"1970-01-01T00:00:00{text}")


def _from_log(text: str) -> int | None:
    match = _LOGGED.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return None
    day, month, year, clock, zone = match.groups()
    return _from_iso(f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{clock}{zone or ''}")
