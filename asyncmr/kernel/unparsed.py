"""Mappers that parse their records themselves, where one that cannot be parsed is to be left out like any other."""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from typing import Any

from asyncmr.batches import BatchKind, batch_kind, marked
from asyncmr.functions import Mapper
from asyncmr.kernel.parsed_lines import ParsedLines
from asyncmr.protocols import Decoder


def unparsed(mapper: Any, decoder: Any) -> tuple[Any, Decoder]:
    """A mapper of lines, and their decoder, which do the same; what they were given if nothing is parsed.

    The mapper may be async.
    """
    inner = getattr(decoder, "decoder", None)
    if inner is not None:  # of a decoder that takes a part of what this one gives, at other positions
        mapper, raw = unparsed(mapper, inner)
        return mapper, decoder if raw is inner else replace(decoder, decoder=raw)
    if not isinstance(decoder, ParsedLines):
        return mapper, decoder
    kind = batch_kind(mapper)
    if kind is not None:
        return _of_batches(mapper, kind, decoder), decoder.raw

    @wraps(mapper)
    def parsing(_key: None, line: str) -> Any:
        return mapper(*decoder.record(line))

    return parsing, decoder.raw


def _of_batches(mapper: Mapper, kind: BatchKind, decoder: ParsedLines) -> Mapper:
    def parsing(_keys: None, lines: list[str]) -> Any:
        keys, values = decoder.columns(lines)
        if kind.form == "arrow":
            from asyncmr.arrow import table_of_records

            return mapper(None, table_of_records(keys, values))
        return mapper(keys, values)

    parsing.__qualname__ = getattr(mapper, "__qualname__", type(mapper).__qualname__)
    return marked(parsing, replace(kind, form="records"))
