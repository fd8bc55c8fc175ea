"""Stragglers: what a worker that gets a tenth of its processor costs a job, and how much of that backup tasks save."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.comparison import tell
from benchmarks.corpora import corpus
from benchmarks.running import last_words, measure, warm
from benchmarks.table import markdown, size_text
from benchmarks.workloads import WORKLOADS

WORKS = ("W1", "W3", "W5")


@dataclass(slots=True)
class Stragglers:
    """What each round found, by workload, whether a worker was slowed, and whether there were backup tasks."""

    size: int
    found: dict[tuple[str, bool, bool], list[dict[str, Any]]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        runs = [
            {"workload": work, "slowed": slowed, "backup_tasks": backup, "runs": runs}
            for (work, slowed, backup), runs in self.found.items()
        ]
        return {"study": "stragglers", "size": self.size, "runs": runs}

    def __str__(self) -> str:
        head = [
            "",
            "no worker slowed, s",
            "with backup tasks",
            "one slowed, s",
            "with backup tasks",
            "rivals",
        ]
        rows = []
        for work in dict.fromkeys(work for work, _, _ in self.found):
            cells = [
                f"{median(run['seconds'] for run in self.found[work, slowed, backup]):.2f}"
                for slowed, backup in product((False, True), (False, True))
            ]
            rivals = median(run["rivals"] for run in self.found[work, True, True])
            rows.append([f"{work} {WORKLOADS[work].title}", *cells, f"{rivals:g}"])
        title = f"Stragglers: one worker gets a tenth of its processor; inputs of {size_text(self.size)}"
        return f"{title}\n\n{markdown(head, rows)}"


def stragglers(
    works: Sequence[str] = WORKS, *, data: Path, size: int, rounds: int = 3, workers: int = 2
) -> Stragglers:
    """Runs each job with and without a slowed worker, with and without backup tasks, in rounds."""
    study = Stragglers(size)
    for _ in range(rounds):
        for work in works:
            inputs = corpus(data, WORKLOADS[work].corpus, size)
            warm(inputs)
            for slowed, backup in product((False, True), (False, True)):
                order = {"work": work, "inputs": list(map(str, inputs)), "workers": workers}
                run = _run({**order, "slowed": slowed, "backup_tasks": backup}, data)
                study.found.setdefault((work, slowed, backup), []).append(run)
                tell(
                    f"{work} slowed={slowed} backup_tasks={backup}: {run['seconds']:.2f} s, {run['rivals']} rivals"
                )
    return study


def _run(order: dict[str, Any], data: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=data) as name:
        result, log = Path(name, "result"), Path(name, "log")
        order = {**order, "scratch": name, "result": str(result)}
        usage = measure([sys.executable, "-m", "benchmarks.slowed", json.dumps(order)], log)
        if usage.exit or usage.killed:
            raise RuntimeError(f"the job failed, exit status {usage.exit}: {last_words(log)}")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found
