"""Tables in Markdown, and how numbers look in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

MIB = 1 << 20


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, its columns padded so that it also reads as plain text; all but the first are set to the right."""
    widths = [max(3, *(len(row[column]) for row in (head, *rows))) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        texts = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(texts)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def size_text(size: int) -> str:
    """A number of bytes as people write it: in decimal units where it is round in them."""
    for unit, factor in (("GB", 10**9), ("GiB", 1 << 30), ("MB", 10**6), ("MiB", MIB)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size / MIB:.1f} MiB"
