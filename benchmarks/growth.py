"""Growth: what a MB of a job costs that spills, over a small input and over a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import oracle
from benchmarks.comparison import describe, tell
from benchmarks.corpora import MB, corpus
from benchmarks.limited import CORPORA
from benchmarks.running import TIMEOUT, Run, run_peer, warm
from benchmarks.table import MIB, markdown, size_text

SIZES = (400 * MB, 4000 * MB)
MEMORY = 256 * MIB
JOB = "index"


@dataclass(slots=True)
class Growth:
    """The runs at each size of input."""

    memory: int
    runs: dict[int, list[Run]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        runs = [{"size": size, **run.as_dict()} for size, runs in self.runs.items() for run in runs]
        return {"study": "growth", "memory": self.memory, "runs": runs}

    def __str__(self) -> str:
        rows = []
        least = _per_mb(self.runs[min(self.runs)], min(self.runs))
        for size, runs in self.runs.items():
            bad = [run.status for run in runs if not run.ok]
            costs = _per_mb(runs, size)
            cells = [f"{cost:.2f}" if cost else "" for cost in costs]
            ratios = [
                f"{cost / base:.2f}" if cost and base else "" for cost, base in zip(costs, least, strict=True)
            ]
            peak = max((run.added for run in runs), default=0) / MIB
            rows.append([size_text(size), *cells, *ratios, f"{peak:.0f}", bad[0] if bad else "right"])
        head = ["input", "wall ms/MB", "CPU ms/MB", "wall ratio", "CPU ratio", "peak PSS added MiB", "output"]
        return (
            f"Growth: document frequencies, no combiner, within {size_text(self.memory)}\n\n"
            f"{markdown(head, rows)}"
        )


def _per_mb(runs: Sequence[Run], size: int) -> tuple[float, float]:
    """Milliseconds for each MB: of wall time and of processor time; 0 where there is no result."""
    usages = [run.usage for run in runs if run.ok and run.usage]
    if not usages:
        return 0.0, 0.0
    scale = 1000 * MB / size
    return median(usage.wall for usage in usages) * scale, median(usage.cpu for usage in usages) * scale


def growth(
    sizes: Sequence[int],
    *,
    data: Path,
    rounds: int = 1,
    workers: int = 2,
    memory: int = MEMORY,
    timeout: float = TIMEOUT,
) -> Growth:
    """Runs the job over inputs of these sizes, one after the other, in rounds."""
    found = Growth(memory)
    for _ in range(rounds):
        for size in sizes:
            inputs = corpus(data, CORPORA[JOB], size)
            expected = oracle.expected(inputs, JOB)
            warm(inputs)
            run = run_peer(
                "asyncmr_classic",
                JOB,
                inputs,
                workers=workers,
                expected=expected,
                memory=memory,
                timeout=timeout,
                scratch=data,
            )
            found.runs.setdefault(size, []).append(run)
            tell(f"growth {size_text(size)}: {describe(run)}, added {run.added / MIB:.0f} MiB")
    return found
