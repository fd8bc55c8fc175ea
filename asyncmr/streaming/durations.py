"""Lengths of time, as people write them. Inside, times are whole milliseconds, so that they compare exactly."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from asyncmr.errors import UsageError

Duration = str | float | timedelta
"""Text such as "90s", "1m", "1h30m" or "250ms"; a number of seconds; or a timedelta."""

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])"
_TEXT = re.compile(rf"(?:{_PART})+")
# Beyond this, a moment minus a length is no longer a date.
_MOST = 3_650_000 * _UNITS["d"]


def parse_duration(length: Duration, *, what: str = "a length of time", zero: bool = False) -> int:
    """Milliseconds, from text, seconds or a timedelta. `what` names the argument in errors.

        parse_duration("1h30m")  # 5,400,000

    Raises:
        UsageError: it is none, is no whole number of milliseconds, or is not positive; unless `zero`, nor is 0.
    """
    millis: float
    if isinstance(length, timedelta):
        millis = length / timedelta(milliseconds=1)
    elif isinstance(length, int | float) and not isinstance(length, bool):
        millis = length * 1000
        if math.isclose(millis, round(millis) if math.isfinite(millis) else 0.0):
            millis = round(millis)  # 0.29 s are 290 ms, whatever the product of floats is
    elif isinstance(length, str) and _TEXT.fullmatch(text := length.strip()):
        millis = sum(float(count) * _UNITS[unit] for count, unit in re.findall(_PART, text))
    else:
        raise UsageError(
            f'{what}: {length!r} is no length of time; write "90s", "1m", "1h30m", "250ms" or "1d", '
            "or a number of seconds without quotes"
        )
    if not millis >= (0 if zero else 1) or millis > _MOST or millis != int(millis):
        least = "0" if zero else "a millisecond"
        raise UsageError(
            f"{what} is {length!r}; it must be at least {least}, at most 10,000 years, "
            "and a whole number of milliseconds"
        )
    return int(millis)


def duration_text(millis: int) -> str:
    """The shortest text of one unit from which `parse_duration` makes the same."""
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if millis % _UNITS[unit] == 0) if millis else "s"
    return f"{millis // _UNITS[unit]}{unit}"
