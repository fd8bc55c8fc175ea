"""Sizes of memory, as people write them."""

from __future__ import annotations

import math
import re

from asyncmr.errors import UsageError

MIB = 1024 * 1024

_UNITS = {
    "": 1, "b": 1,
    "k": 1024, "kib": 1024, "kb": 1000,
    "m": 1024**2, "mib": 1024**2, "mb": 1000**2,
    "g": 1024**3, "gib": 1024**3, "gb": 1000**3,
    "t": 1024**4, "tib": 1024**4, "tb": 1000**4,
}  # fmt: skip

_SIZE = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)


def parse_size(size: str | int) -> int:
    """A number of bytes, from an int or from text such as "512 MiB", "64M" or "1.5 GB".

    As in the coreutils, M and MiB are 1024 * 1024, MB is 1000 * 1000. Upper and lower case are the same.

    Raises:
        UsageError: when it is no size, or not positive.
    """
    if isinstance(size, int) and not isinstance(size, bool):
        count: float = size
    elif isinstance(size, str) and (match := _SIZE.fullmatch(size)) and match[2].lower() in _UNITS:
        unit = _UNITS[match[2].lower()]
        count = float(match[1]) * unit if "." in match[1] else int(match[1]) * unit
    else:
        raise UsageError(
            f'{size!r} is not a size; write a number of bytes, or e.g. "512 MiB", "64M", "1.5 GiB"'
        )
    if count < 1 or not math.isfinite(count):
        raise UsageError(f"a size must be positive, and {size!r} is not")
    return int(count)
