"""The comparison: contenders one after the other, round after round, on one workload at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import oracle, peers
from benchmarks.corpora import corpus
from benchmarks.running import TIMEOUT, Run, run_peer, warm
from benchmarks.table import MIB, markdown, percentile, size_text
from benchmarks.workloads import WORKLOADS


@dataclass(slots=True)
class Comparison:
    """The runs of one workload, by contender, in the order of the rounds."""

    work: str
    size: int
    workers: int
    base: str
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "study": "comparison",
            "workload": self.work,
            "size": self.size,
            "workers": self.workers,
            "base": self.base,
            "runs": [run.as_dict() for runs in self.runs.values() for run in runs],
        }

    def __str__(self) -> str:
        workload = WORKLOADS[self.work]
        rounds = max(map(len, self.runs.values()), default=0)
        size = f", {size_text(self.size)}" if workload.corpus else ""
        title = f"{self.work} {workload.title}{size}, {self.workers} workers, {rounds} interleaved rounds"
        table = {"W6": self._latencies, "W8": self._rates}.get(self.work, self._table)()
        return f"{title}\n\n{table}"

    def _table(self) -> str:
        head = ["", "wall s", "CPU s", "peak PSS MiB", "wall ratio", "range", "CPU ratio", "output"]
        return markdown(head, [self._row(name) for name in self.runs])

    def _row(self, name: str) -> list[str]:
        title = peers.peer(name).title
        good = self._good(name)
        if not good:
            return [title, "", "", "", "", "", "", self.runs[name][-1].status]
        usages = [run.usage for run in good if run.usage]
        walls = self._ratios(name, "wall")
        cpus = self._ratios(name, "cpu")
        bad = [run.status for run in self.runs[name] if not run.ok]
        return [
            title,
            f"{median(usage.wall for usage in usages):.2f}",
            ("~" if any(usage.sampled for usage in usages) else "")
            + f"{median(usage.cpu for usage in usages):.2f}",
            f"{max(usage.peak for usage in usages) / MIB:.0f}",
            f"{median(walls):.2f}" if walls else "",
            _range(walls),
            f"{median(cpus):.2f}" if cpus else "",
            bad[0] if bad else good[0].checksum,
        ]

    def _latencies(self) -> str:
        head = ["", "first ms", "median ms", "p99 ms", "max ms", "ratio", "output"]
        rows = []
        for name, runs in self.runs.items():
            title, good = peers.peer(name).title, self._good(name)
            if not good:
                rows.append([title, "", "", "", "", "", runs[-1].status])
                continue
            ratios = self._ratios(name, "ms")
            rows.append(
                [
                    title,
                    f"{median(run.notes['first_ms'] for run in good):.2f}",
                    f"{median(median(run.notes['ms']) for run in good):.3f}",
                    f"{median(percentile(run.notes['ms'], 0.99) for run in good):.3f}",
                    f"{max(max(run.notes['ms']) for run in good):.2f}",
                    f"{median(ratios):.2f}" if ratios else "",
                    "right",
                ]
            )
        return markdown(head, rows)

    def _rates(self) -> str:
        head = ["", "M words/s", "CPU s", "peak PSS MiB", "time ratio", "range", "CPU ratio", "output"]
        rows = []
        for name in self.runs:
            title, _, cpu, peak, _, _, cpu_ratio, output = self._row(name)
            rates = [run.notes["words"] / run.notes["seconds"] / 1e6 for run in self._good(name)]
            times = self._ratios(name, "seconds")
            row = [title, f"{median(rates):.2f}" if rates else "", cpu, peak]
            row += [f"{median(times):.2f}" if times else "", _range(times), cpu_ratio, output]
            rows.append(row)
        return markdown(head, rows)

    def _good(self, name: str) -> list[Run]:
        return [run for run in self.runs[name] if run.ok]

    def _ratios(self, name: str, what: str) -> list[float]:
        """The contender against the base, round by round: what disturbs a round disturbs both."""
        pairs = zip(self.runs[name], self.runs.get(self.base, ()), strict=False)
        return [_cost(mine, what) / _cost(its, what) for mine, its in pairs if mine.ok and its.ok]


def _cost(run: Run, what: str) -> float:
    assert run.usage is not None
    match what:
        case "ms":
            return float(median(run.notes["ms"]))
        case "seconds":
            return float(run.notes["seconds"])
        case _:
            return float(getattr(run.usage, what))


def _range(ratios: Sequence[float]) -> str:
    return f"{min(ratios):.2f}-{max(ratios):.2f}" if len(ratios) > 1 else ""


def compare(
    work: str,
    names: Sequence[str],
    *,
    data: Path,
    size: int,
    rounds: int = 3,
    workers: int = 2,
    base: str | None = None,
    memory: int | None = None,
    timeout: float = TIMEOUT,
) -> Comparison:
    """Runs the contenders `names` on a workload, interleaved. One that fails is not tried again."""
    workload = WORKLOADS[work]
    inputs = corpus(data, workload.corpus, size) if workload.corpus else []
    expected = oracle.expected(inputs, work) if inputs else None
    actual = sum(path.stat().st_size for path in inputs)
    found = Comparison(work, size if actual else 0, workers, base or workload.base)
    for turn in range(rounds):
        for name in contenders(work, names):
            runs = found.runs.setdefault(name, [])
            if runs and not runs[-1].ok:
                continue
            warm(inputs)
            run = run_peer(
                name,
                work,
                inputs,
                workers=workers,
                expected=expected,
                ordered=workload.ordered,
                memory=memory,
                timeout=timeout,
                scratch=data,
            )
            runs.append(run)
            tell(f"{work} round {turn + 1} {name}: {describe(run)}")
    return found


def contenders(work: str, names: Iterable[str]) -> list[str]:
    """Those of the contenders that are installed and have something for this work."""
    return [name for name in names if work in peers.peer(name).runs and not peers.missing(peers.peer(name))]


def describe(run: Run) -> str:
    """A run in a line, with the machine's load, which says how far to trust the wall time."""
    usage = run.usage
    if not run.ok or usage is None:
        return run.status
    return (
        f"{usage.wall:.2f} s, CPU {usage.cpu:.2f} s, {usage.peak / MIB:.0f} MiB, "
        f"{usage.samples} samples, load {os.getloadavg()[0]:.1f}"
    )


def tell(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)
