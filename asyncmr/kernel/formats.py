"""From results to the bytes of an output. An encoder is a value: it can be pickled, and has no state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asyncmr.kernel.blocks import encode_pairs

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})


@dataclass(frozen=True, slots=True)
class TextFormat:
    """`str(key)<TAB>str(value)` on a line each, in UTF-8; tab, newline and backslash escaped with a backslash.

    A value of None leaves the key alone on its line.
    """

    def encode(self, keys: list[Any], values: list[Any]) -> bytes:
        if not keys:
            return b""
        key_texts = _escaped(keys)
        if values.count(None) == len(values):
            lines = key_texts
        elif None in values:
            texts = _escaped(values)
            lines = [
                key if value is None else f"{key}\t{text}"
                for key, value, text in zip(key_texts, values, texts, strict=True)
            ]
        else:
            lines = list(map("%s\t%s".__mod__, zip(key_texts, _escaped(values), strict=True)))
        return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _escaped(column: list[Any]) -> list[str]:
    """The column as text; looked through once as a whole, because hardly any needs an escape."""
    texts = column if set(map(type, column)) == {str} else list(map(str, column))
    whole = "\n".join(texts)
    if "\t" in whole or "\\" in whole or whole.count("\n") != len(texts) - 1:
        return [text.translate(_ESCAPES) for text in texts]
    return texts


@dataclass(frozen=True, slots=True)
class PairFormat:
    """Blocks of pairs as Python objects, for a next step or a caller in the same process tree."""

    def encode(self, keys: list[Any], values: list[Any]) -> bytes:
        return encode_pairs(keys, values)
