"""The table of workloads."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks import functions

Values = Callable[[Iterable[Any]], Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """One piece of work, the same for every contender.

    `corpus`: the kind of its input. `mapper(line)` gives pairs; `combine(values)` and `reduce(values)` give one value,
    `fold(left, right)` is the same combiner in the form of an associative operator. A line of output is the key, a
    tab and `show(result)`; of a sort, the input's line. `ordered`: whether the output's order matters. `base`: the
    contender that ratios are to, unless another is asked for.
    """

    name: str
    title: str
    corpus: str
    mapper: Callable[[str], Iterable[tuple[str, Any]]]
    reduce: Values
    combine: Values | None = None
    fold: Callable[[Any, Any], Any] | None = None
    show: Callable[[Any], str] = str
    ordered: bool = False
    base: str = "pool_classic"

    def line(self, key: str, result: Any) -> str:
        return f"{key}{result}\n" if self.ordered else f"{key}\t{self.show(result)}\n"


_ALL = (
    Workload("W1", "word count", "words", functions.words, sum, sum, operator.add),
    Workload(
        "W2",
        "inverted index",
        "documents",
        functions.postings,
        functions.sorted_documents,
        show=functions.show_documents,
    ),
    Workload(
        "W3",
        "mean by key over JSON lines",
        "log",
        functions.traffic,
        functions.combined_traffic,
        functions.combined_traffic,
        functions.merged_traffic,
        functions.show_traffic,
    ),
    Workload("W4", "total sort of 100-byte records", "records", functions.keyed, list, ordered=True),
    Workload("W5", "CPU-heavy tasks", "tasks", functions.burn, sum, sum, operator.add),
    # The input of W6 is made on the spot: ten lines, time and again, on an engine that is warm.
    Workload("W6", "ten lines on a warm engine", "", functions.words, sum, sum, operator.add),
    Workload(
        "W8", "word count as a stream", "words", functions.words, sum, sum, operator.add, base="pool_stream"
    ),
)

WORKLOADS = {workload.name: workload for workload in _ALL}

SMALL_LINES = [" ".join(f"w{(line * 5 + word * word) % 37}" for word in range(12)) for line in range(10)]
"""What W6 counts."""
