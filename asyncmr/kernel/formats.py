"""From results to the bytes of an output. An encoder is a value: it can be pickled, and has no state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asyncmr.errors import FormatError, UsageError
from asyncmr.kernel.blocks import encode_pairs
from asyncmr.kernel.failures import excerpt
from asyncmr.protocols import Encoder

_NUMBERS: frozenset[type] = frozenset({int, float, bool})  # their texts need no escape
_SLICE = 64


@dataclass(frozen=True, slots=True)
class TextFormat:
    """`str(key)<TAB>str(value)` on a line each, in UTF-8; tab, newline and backslash escaped with a backslash.

    A value of None leaves the key alone on its line.
    """

    def encode(self, keys: list[Any], values: list[Any]) -> bytes:
        if not keys:
            return b""
        key_texts, text = _texts(keys)
        kinds = set(map(type, values))
        if kinds == {type(None)}:
            return _encoded(f"{text}\n")
        value_texts = list(map(str, values)) if kinds <= _NUMBERS else _texts(values)[0]
        # One join of keys, tabs, values and newlines takes half the time of putting line by line together.
        parts = ["\t"] * (4 * len(keys))
        parts[::4] = key_texts
        parts[2::4] = value_texts
        parts[3::4] = ["\n"] * len(keys)
        if type(None) in kinds:
            for index, value in enumerate(values):
                if value is None:
                    parts[4 * index + 1] = parts[4 * index + 2] = ""
        return _encoded("".join(parts))


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        line = text[text.rfind("\n", 0, error.start) + 1 :].partition("\n")[0]
        raise FormatError(
            f"the pair {excerpt(line)} cannot be written as text: it holds a lone surrogate, for which UTF-8 "
            "has no bytes; take it out, or write JSON lines",
            key=excerpt(line.partition("\t")[0]),
        ) from error


def _texts(column: list[Any]) -> tuple[list[str], str]:
    """The column as escaped text, value by value and as lines.

    It is escaped as a whole, since most of it needs no escape, and to look at one text costs as much as at all.
    """
    texts = column if set(map(type, column)) == {str} else list(map(str, column))
    whole = "\n".join(texts)
    if whole.count("\n") != len(texts) - 1:
        texts = [_escaped(text).replace("\n", "\\n") for text in texts]
        return texts, "\n".join(texts)
    escaped = _escaped(whole)
    return texts if len(escaped) == len(whole) else escaped.split("\n"), escaped


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t")


@dataclass(frozen=True, slots=True)
class PairFormat:
    """Blocks of pairs as Python objects, for a next step or a caller in the same process tree."""

    def encode(self, keys: list[Any], values: list[Any]) -> bytes:
        return encode_pairs(keys, values)


@dataclass(frozen=True, slots=True)
class SlicedPairs:
    """The same in blocks of few pairs, for an event loop that decodes them one at a time."""

    def encode(self, keys: list[Any], values: list[Any]) -> bytes:
        starts = range(0, len(keys), _SLICE)
        return b"".join(encode_pairs(keys[at : at + _SLICE], values[at : at + _SLICE]) for at in starts)


def format_of(name: str) -> Encoder:
    """The format of output that has this name: "text" or "jsonl".

    Raises:
        UsageError: there is none.
    """
    if name == "jsonl":
        from asyncmr.kernel.json_lines import JsonFormat

        return JsonFormat()
    if name != "text":
        raise UsageError(f'format={name!r} is not known; the formats are "text" and "jsonl"')
    return TextFormat()
