"""The way back from the text format: `key<TAB>value` lines as pairs of texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from asyncmr.kernel.decoding import TextLines
from asyncmr.kernel.parsed_lines import ParsedLines

_ESCAPE = re.compile(r"\\(.?)")
_ESCAPED = {"t": "\t", "n": "\n", "\\": "\\"}


@dataclass(frozen=True, slots=True)
class TextPairs(ParsedLines):
    """The pairs that `TextFormat` wrote: `(str(key), str(value))`, or `(str(key), None)` of a key alone."""

    # As it was written, to the byte: a carriage return belongs to the value.
    raw: ClassVar[TextLines] = TextLines(errors="surrogateescape", returns=True)
    keyed: ClassVar[bool] = True
    name: ClassVar[str] = "key<TAB>value, escaped as the text format does"

    def parse(self, line: str) -> tuple[str, str | None]:
        key, tab, value = line.partition("\t")
        return _unescaped(key), _unescaped(value) if tab else None


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_escaped, text) if "\\" in text else text


def _escaped(found: re.Match[str]) -> str:
    try:
        return _ESCAPED[found[1]]
    except KeyError:
        raise ValueError(f"{found[0]} is no escape; there are \\t, \\n and \\\\") from None
