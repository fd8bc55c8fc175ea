"""A plot as SVG, written by hand: seconds against memory, both on logarithmic axes, one panel a job."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.table import size_text

_WIDTH, _HEIGHT = 340, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 30, 34
# The room of a name in the legend, and the height of a row of names.
_NAME, _LEGEND = 240, 15
_COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#7f7f7f")

# The seconds at each limit; None where there was no result.
Series = Mapping[int, float | None]


def plot(panels: Mapping[str, Mapping[str, Series]], title: str) -> str:
    """Panels side by side, three in a row, each with a line for each contender.

    A limit at which a contender gave no result gets a cross at the panel's upper edge.
    """
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    columns, rows = min(3, len(panels)), math.ceil(len(panels) / 3)
    width = columns * _WIDTH
    in_a_row = max(1, width // _NAME)
    top = 28 + _LEGEND * math.ceil(len(names) / in_a_row)
    height = top + rows * _HEIGHT + 5
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(width / 2, 16, title, anchor="middle", size=13),
    ]
    for number, name in enumerate(names):
        x, y = 20 + number % in_a_row * _NAME, 25 + number // in_a_row * _LEGEND
        parts.append(f'<rect x="{x}" y="{y}" width="14" height="4" fill="{_colour(number)}"/>')
        parts.append(_text(x + 19, y + 6, name))
    for number, (job, lines) in enumerate(panels.items()):
        x, y = number % 3 * _WIDTH, top + number // 3 * _HEIGHT
        parts.append(f'<g transform="translate({x} {y})">')
        parts += _panel(job, lines, names)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(job: str, lines: Mapping[str, Series], names: Sequence[str]) -> list[str]:
    limits = sorted({limit for series in lines.values() for limit in series})
    seconds = [found for series in lines.values() for found in series.values() if found]
    low, high = min(seconds, default=1.0) / 1.2, max(seconds, default=1.0) * 1.2

    def across(limit: int) -> float:
        span = math.log(limits[-1] / limits[0]) or 1.0
        return _LEFT + math.log(limit / limits[0]) / span * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        return _TOP + math.log(high / value) / math.log(high / low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_text(_LEFT, _TOP - 12, job, size=12), _text(4, _TOP - 12, "s")]
    for limit in limits:
        x, label = across(limit), size_text(limit).replace(" MiB", "M").replace(" GiB", "G")
        parts.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM))
        parts.append(_text(x, _HEIGHT - _BOTTOM + 14, label, anchor="middle"))
    for value in _round_values(low, high):
        parts.append(_line(_LEFT, up(value), _WIDTH - _RIGHT, up(value)))
        parts.append(_text(_LEFT - 4, up(value) + 4, f"{value:g}", anchor="end"))
    for name, series in lines.items():
        colour = _colour(names.index(name))
        points = [(across(limit), up(found)) for limit, found in sorted(series.items()) if found]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        for limit, found in series.items():
            if found is None:
                # Side by side, so that several crosses at one limit are all seen.
                x = across(limit) + 7 * (names.index(name) - (len(names) - 1) / 2)
                parts.append(_text(x, _TOP + 4, "x", anchor="middle", size=15, colour=colour))
    return parts


def _round_values(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ddd"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 11, colour: str = "#222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
