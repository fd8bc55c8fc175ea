"""Records as Arrow tables. Imports pyarrow, so this file is imported only where a batch function asks for one."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa
from pyarrow import compute

_LARGEST_OFFSET = 2**31 - 1


def table_of_lines(block: bytes) -> pa.Table:
    """The lines as `TextLines` decodes them, in a column "value"."""
    text = text_of(block)
    if b"\r\n" in block:
        text = compute.replace_substring(text, "\r\n", "\n")
    if block.endswith(b"\n"):
        text = compute.utf8_slice_codeunits(text, 0, -1)
    return pa.table({"value": compute.split_pattern(text, "\n").flatten()})


def table_of_records(keys: list[Any] | None, values: list[Any]) -> pa.Table:
    """The records in a column "value", their keys, if they have some, in a column "key"."""
    columns = {} if keys is None else {"key": pa.array(keys)}
    return pa.table({**columns, "value": pa.array(values)})


def text_of(block: bytes) -> pa.Array:
    """An array of one string: the block as UTF-8, invalid bytes replaced; not copied where it is valid."""
    if len(block) <= _LARGEST_OFFSET:
        kind, offsets = pa.string(), struct.pack("=ii", 0, len(block))
    else:
        kind, offsets = pa.large_string(), struct.pack("=qq", 0, len(block))
    text = pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(offsets), pa.py_buffer(block)])
    if not block.isascii():
        try:
            text.validate(full=True)
        except pa.ArrowInvalid:
            return text_of(block.decode("utf-8", "replace").encode())
    return text
