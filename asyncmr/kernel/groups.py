"""Groups: the values of each key as pairs, on their way to a reducer that runs elsewhere.

A pair is `(key, (first, values))`. A key with many values has several pairs, one behind the other, and `first` says
which of them is its first: keys that follow each other may be alike, as NaNs are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.protocols import Pair

# What a pair holds at most, but at least one value.
_VALUES = 1024
_BYTES = 64 << 10
_LOOK = 64


def grouped(key: Any, values: Iterator[Any]) -> Iterator[Pair]:
    """A reducer that gives the values on."""
    first, some, size = True, list[Any](), 0
    while more := list(islice(values, _LOOK)):
        some += more
        size += estimate_bytes(more)
        if len(some) >= _VALUES or size >= _BYTES:
            yield key, (first, some)
            first, some, size = False, [], 0
    if some:
        yield key, (first, some)
