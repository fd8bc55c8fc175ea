"""How many records are drawn and pickled between two turns of the loop, and what makes a split of them.

The event loop does this itself, since the records are the caller's objects: so a slice is a quarter of a megabyte,
which takes about a millisecond. Where it ends depends on the records alone.
"""

from __future__ import annotations

from typing import Any

from asyncmr.errors import AsyncMRError, InputError, UsageError
from asyncmr.kernel.blocks import encode_pairs
from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.footprint import estimate_bytes

SLICE_RECORDS = 1024
SPLIT_BYTES = 1 << 20
_SLICE_BYTES = 256 << 10
_SPLIT_RECORDS = 65_536
_LOOKED_AT = 8


def records_of_a_task(wanted: int | None) -> int:
    """The most records that a task gets.

    Raises:
        UsageError: `wanted` is no such number.
    """
    if wanted is not None and wanted < 1:
        raise UsageError(f"records_per_task={wanted} leaves a task without records; give at least 1")
    return wanted or _SPLIT_RECORDS


def room_for_more(some: list[Any], most: int, *, begin: int = 1) -> int:
    """How many more records a slice takes before it asks again; 0 when it is full. It never has more than `most`.

    `begin`: how many it takes before it looks how large they are; one, unless all of them are in memory anyway.
    """
    held = len(some)
    if not held:
        return min(begin, most)
    sample = some[:: -(-held // _LOOKED_AT)]
    each = max(1, estimate_bytes(sample) // len(sample))
    return max(0, min(16 * held, most, SLICE_RECORDS, _SLICE_BYTES // each) - held)


def encoded(records: list[Any], before: int) -> bytes:
    """A block of these records. `before`: how many came before them.

    Raises:
        InputError: one of them cannot be pickled.
    """
    try:
        return encode_pairs([None] * len(records), records)
    except Exception as error:
        for number, record in enumerate(records, before):
            try:
                encode_pairs([None], [record])
            except Exception as first:
                raise InputError(
                    f"record {number} of the input, {excerpt(record)}, cannot be sent to a worker: {first}; "
                    "pass what can be pickled, such as the data that it is made from"
                ) from first
        raise InputError(f"the records of the input cannot be sent to a worker: {error}") from error


def failed(error: Exception, drawn: int) -> AsyncMRError:
    """The error to raise where an iterable of records raised."""
    if isinstance(error, AsyncMRError):
        return error
    return InputError(
        f"the records of the input ended with {type(error).__name__} after {drawn:,} of them: {error}; "
        "the cause of this error says where"
    )
