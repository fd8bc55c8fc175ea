"""Backpressure: the memory of a stream that is fed without end, behind a disk, a sink or a subscriber that is slow."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.comparison import tell
from benchmarks.corpora import MB, corpus
from benchmarks.running import last_words, measure, warm
from benchmarks.table import MIB, markdown, size_text

SLOW = {
    "nothing": "nothing is slow",
    "disk": "a commit takes 2 s",
    "sink": "a write to a sink takes 2 s",
    "iterator": "who iterates rests after each update",
    "subscriber": "a subscriber over HTTP does not read",
}
MEMORY = 400 * MIB
_TEXT = 20 * MB


@dataclass(slots=True)
class Backpressure:
    """What each run found, by what was slow. `memory`: what the stream may use."""

    memory: int
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {"study": "backpressure", "memory": self.memory, "found": self.found, "skipped": self.skipped}

    def __str__(self) -> str:
        head = ["", "peak PSS added MiB", "median, third quarter", "fourth", "epochs", "MB/s taken", ""]
        rows = []
        for slow, found in self.found.items():
            samples = [sample / MIB for sample in found["samples"]]
            half, most = len(samples) // 2, len(samples) * 3 // 4
            within = "within" if max(found["samples"]) <= self.memory else "more than it may use"
            rows.append(
                [
                    SLOW[slow],
                    f"{max(samples):.0f}",
                    f"{median(samples[half:most]):.0f}",
                    f"{median(samples[most:]):.0f}",
                    str(found["epochs"]),
                    f"{found['bytes'] / MB / found['seconds']:.1f}",
                    within,
                ]
            )
        title = f"Backpressure: a stream that may use {size_text(self.memory)}, fed as fast as it takes text"
        return "\n\n".join([title, markdown(head, rows), *self.skipped])


def backpressure(
    slow: Sequence[str] = tuple(SLOW),
    *,
    data: Path,
    size: int = _TEXT,
    workers: int = 2,
    memory: int = MEMORY,
    seconds: float = 30.0,
) -> Backpressure:
    """Runs a stream behind each of these, for so many seconds. `size`: of the text that it is fed again and again."""
    study = Backpressure(memory)
    inputs = corpus(data, "words", size)
    warm(inputs)
    for what in slow:
        if what == "subscriber" and not (find_spec("uvicorn") and find_spec("starlette")):
            study.skipped.append("Without uvicorn and starlette there is no subscriber over HTTP.")
            continue
        order = {
            "slow": what,
            "input": str(inputs[0]),
            "workers": workers,
            "memory": memory,
            "seconds": seconds,
        }
        study.found[what] = found = _run(order, data)
        tell(f"{SLOW[what]}: {max(found['samples']) / MIB:.0f} MiB, {found['epochs']} epochs")
    return study


def _run(order: dict[str, Any], data: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=data) as name:
        result, log = Path(name, "result"), Path(name, "log")
        order = {**order, "scratch": name, "result": str(result)}
        usage = measure([sys.executable, "-m", "benchmarks.pressed", json.dumps(order)], log)
        if usage.exit or usage.killed:
            raise RuntimeError(f"the stream failed, exit status {usage.exit}: {last_words(log)}")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found
