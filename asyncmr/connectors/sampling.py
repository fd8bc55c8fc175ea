"""How much of an input is looked at before it is read, and where.

The same part of every input, so that mappers which take seconds for a record are not kept waiting; of a large one no
more than tells where a thousand ranges of keys begin. What is looked at lies at even distances: on an input that
is in order already, or nearly, that is as good as a sample can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

SAMPLES = 16
"""In how many samples, which may be mapped in parallel."""

_SHARE = 64
_LEAST_BYTES, _MOST_BYTES = 8 << 10, 4 << 20
_LEAST_RECORDS, _MOST_RECORDS = 32, 16_384


def sample_bytes(total: int) -> int:
    """How many of `total` bytes are looked at."""
    return min(max(total // _SHARE, _LEAST_BYTES), _MOST_BYTES)


def sample_records(total: int) -> int:
    """How many of `total` records are looked at."""
    return min(max(total // _SHARE, _LEAST_RECORDS), _MOST_RECORDS, total)


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most `most` of the items, at even distances."""
    total = len(items)
    if total <= most:
        return list(items)
    return [items[(2 * number + 1) * total // (2 * most)] for number in range(most)]
