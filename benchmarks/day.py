"""The day: whether the memory of a stream, and what else it holds, stays flat over 24 hours of text."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, mean
from typing import Any

from benchmarks.comparison import tell
from benchmarks.corpora import MB, corpus
from benchmarks.running import last_words, measure
from benchmarks.table import MIB, markdown, size_text

SECONDS = 300.0
_SIZE = 500 * MB
_TEXT = 20 * MB
# The first hours fill the windows that are kept, and all that is made on first use.
_FILLING = 2


@dataclass(slots=True)
class Day:
    """What was held after each hour. `failure`: why there is no more of it."""

    size: int
    seconds: float
    rows: list[dict[str, float]] = field(default_factory=list)
    words: int = 0
    failure: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "study": "day",
            "size": self.size,
            "seconds": self.seconds,
            "rows": self.rows,
            "words": self.words,
        }

    def slope(self, name: str) -> float:
        """What is added in a day, as a share of what is held, after the first hours."""
        values = [row[name] for row in self.rows[_FILLING:]]
        if len(values) < 2:
            return 0.0
        return linear_regression(range(len(values)), values).slope * 24 / mean(values)

    def __str__(self) -> str:
        head = ["after hours", "epochs", "keys", "host PSS MiB", "others MiB", "state MiB"]
        head += ["descriptors", "processes", "tasks", "objects"]
        plain = ("descriptors", "processes", "tasks", "objects")
        rows = [
            [
                str(hour),
                f"{row['epochs']:,.0f}",
                f"{row['keys']:,.0f}",
                *(f"{row[name] / MIB:.1f}" for name in ("host", "others", "state")),
                *(f"{row[name]:,.0f}" for name in plain),
            ]
            for hour, row in enumerate(self.rows, 1)
        ]
        slopes = [f"{self.slope(name):+.1%}" for name in ("keys", "host", "others", "state", *plain)]
        rows.append(["in a day, from the third on", "", *slopes])
        title = (
            f"A day of {size_text(self.size)} of text in {self.seconds:.0f} s: {self.words:,} words in windows of a "
            "minute, kept for an hour"
        )
        return "\n\n".join([title, self.failure or markdown(head, rows)])


def day(*, data: Path, size: int = _SIZE, seconds: float = SECONDS, hours: int = 24, workers: int = 2) -> Day:
    """Runs so many hours of a stream, over `size` bytes of text, in `seconds`."""
    inputs = corpus(data, "words", min(size, _TEXT))
    study = Day(size, seconds)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=data) as name:
        result, log = Path(name, "result"), Path(name, "log")
        order = {
            "input": str(inputs[0]),
            "size": size,
            "seconds": seconds,
            "hours": hours,
            "workers": workers,
        }
        order |= {"scratch": name, "result": str(result)}
        tell(f"a day in {seconds:.0f} s")
        usage = measure([sys.executable, "-m", "benchmarks.hours", json.dumps(order)], log)
        if usage.exit or usage.killed:
            study.failure = usage.killed or f"failed, exit status {usage.exit}: {last_words(log)}"
        else:
            found = json.loads(result.read_text(encoding="utf-8"))
            study.rows, study.words = found["rows"], found["words"]
    return study
