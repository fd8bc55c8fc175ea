"""Instants: the time that a mark says, in milliseconds since 1970. A mark is read once, however many lines have it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

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
