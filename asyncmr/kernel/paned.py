"""Mapping by panes: a split whose lines are divided by their time, and each pane mapped as if it were the split.

What is mapped leaves as runs, as from any split, except that shares are numbered through all panes: of the pane that
comes first in the facts, then of the next.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, NamedTuple

from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.layout import Feed
from asyncmr.kernel.leftout import LeftOut
from asyncmr.kernel.outlets import Item
from asyncmr.kernel.panes import PaneRule, divide

Facts = dict[str, Any]
Task = Generator[Item, None, Facts]


class PanedSplit(NamedTuple):
    """What the host says of a split. `rule`, `open_from`, `believed` and `sections` as `divide` takes them; `shares`:
    how many there are in a pane."""

    number: int
    shares: int
    rule: tuple[str, int]
    open_from: int | None
    believed: int | None
    sections: tuple[int, ...] = ()


class _Once:
    """Feeds one buffer."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def ask(self, wanted: tuple[int, ...]) -> list[memoryview]:
        return [self._data]


def map_panes(
    map_split: Callable[[tuple[int, bool, bool, bytes], Feed], Task],
    split: PanedSplit,
    feed: Feed,
    left_out: LeftOut | None,
) -> Task:
    """Divides the split that is fed, and maps each pane with `map_split`.

    The runs come pane by pane, then the lines that are in none, items `("aside", reason)`.
    Facts: `records`, those set aside included, `pairs`, `pairs_out`; `panes`, their numbers; `aside`, how many lines,
    by reason, in the order of the items; `latest`, the latest time of each section.
    """
    (data,) = feed.ask(())
    division = divide(
        PaneRule(*split.rule),
        data,
        open_from=split.open_from,
        believed=split.believed,
        sections=split.sections,
    )
    totals: Counter[str] = Counter()
    for place, pane in enumerate(division.panes):
        origin = partial(division.position, pane.number)
        if left_out is not None:
            left_out.origin = origin
        mapped = map_split((split.number, True, False, b""), _Once(pane.data))
        facts = yield from _placed(mapped, origin, place * split.shares)
        totals.update(facts)
    for aside in division.aside:
        totals["records"] += aside.lines
        yield ("aside", aside.reason), aside.data
    return {
        **{name: totals[name] for name in ("records", "pairs", "pairs_out")},
        "panes": [pane.number for pane in division.panes],
        "aside": {aside.reason: aside.lines for aside in division.aside},
        "latest": division.latest,
    }


def _placed(mapped: Task, origin: Callable[[int], int], first: int) -> Task:
    """The same items, whose shares begin at `first`; what fails is told with its place in the split."""
    try:
        while True:
            meta, data = next(mapped)
            if first and meta[0] == "runs":
                kind, flush, shares, ends = meta
                numbers = array("I")
                numbers.frombytes(shares)
                meta = (kind, flush, array("I", (first + share for share in numbers)).tobytes(), ends)
            yield meta, data
    except StopIteration as stop:
        facts: Facts = stop.value
        return facts
    except UserFailure as failure:
        for name in ("position", "last"):
            if failure.facts.get(name) is not None:
                failure.facts[name] = origin(failure.facts[name])
        raise
    finally:
        mapped.close()
