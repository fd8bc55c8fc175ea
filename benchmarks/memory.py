"""The memory study: the time of jobs over data larger than memory, at limits from 128 MiB on; and inside a cgroup."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import oracle, peers
from benchmarks.cgroups import MemoryGroup, NoCgroup
from benchmarks.checking import verdict
from benchmarks.comparison import contenders, describe, tell
from benchmarks.corpora import corpus
from benchmarks.limited import CORPORA
from benchmarks.plot import plot
from benchmarks.running import TIMEOUT, Run, Usage, chill, last_words, measure, run_peer, warm
from benchmarks.table import MIB, markdown, size_text

JOBS = tuple(CORPORA)
PEERS = ("asyncmr_classic", "duckdb", "polars", "gnu_sort")
LIMITS = tuple(number * MIB for number in (128, 192, 256, 512, 1024, 2048, 4096))
# Below this a second worker's interpreter leaves no room to work in.
_ONE_WORKER = 128 * MIB
# What a contender that knows no limit is held to from outside, beyond the limit: its interpreter and libraries.
_ALLOWANCE = 64 * MIB


@dataclass(slots=True)
class MemoryStudy:
    """The runs of each job, contender and limit."""

    size: int
    runs: dict[str, dict[str, dict[int, Run]]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        runs = [
            {"limit": limit, "added": run.added, **run.as_dict()}
            for by_name in self.runs.values()
            for by_limit in by_name.values()
            for limit, run in by_limit.items()
        ]
        return {"study": "memory", "size": self.size, "runs": runs}

    def __str__(self) -> str:
        return "\n\n".join(
            f"{job}, {size_text(self.size)}: seconds (peak PSS added, MiB)\n\n{self._table(by_name)}"
            for job, by_name in self.runs.items()
        )

    def _table(self, by_name: dict[str, dict[int, Run]]) -> str:
        limits = sorted({limit for by_limit in by_name.values() for limit in by_limit})
        rows = [
            [peers.peer(name).title, *(_cell(by_limit[limit]) for limit in limits)]
            for name, by_limit in by_name.items()
        ]
        return markdown(["", *map(size_text, limits)], rows)

    def svg(self) -> str:
        """The plot of seconds against memory."""
        panels = {
            job: {
                peers.peer(name).title.replace("*", ""): {
                    limit: run.usage.wall if run.ok and run.usage else None for limit, run in by_limit.items()
                }
                for name, by_limit in by_name.items()
            }
            for job, by_name in self.runs.items()
        }
        return plot(panels, f"Time against memory, {size_text(self.size)} of input, 2 workers")


def _cell(run: Run) -> str:
    if run.ok and run.usage:
        return f"{run.usage.wall:.1f} ({run.added / MIB:.0f})"
    return "refused" if run.status.startswith("refused") else run.status[:40]


def study(
    jobs: Sequence[str],
    names: Sequence[str],
    limits: Sequence[int],
    *,
    data: Path,
    size: int,
    workers: int = 2,
    timeout: float = TIMEOUT,
    cgroup_parent: Path | None = None,
) -> MemoryStudy:
    """Runs each job at each limit, the contenders one after the other."""
    found = MemoryStudy(size)
    for job in jobs:
        inputs = corpus(data, CORPORA[job], size)
        expected = oracle.expected(inputs, job)
        for limit in limits:
            for name in contenders(job, names):
                warm(inputs)
                with ExitStack() as stack:
                    group, kill = None, None
                    if name == "polars":
                        group, kill = _held(limit + _ALLOWANCE, cgroup_parent, stack)
                    run = run_peer(
                        name,
                        job,
                        inputs,
                        workers=1 if limit <= _ONE_WORKER else workers,
                        expected=expected,
                        ordered=job == "sort",
                        memory=limit,
                        limit=kill,
                        group=group,
                        timeout=timeout,
                        scratch=data,
                    )
                found.runs.setdefault(job, {}).setdefault(name, {})[limit] = run
                tell(f"{job} {size_text(limit)} {name}: {describe(run)}, added {run.added / MIB:.0f} MiB")
    return found


def _held(size: int, parent: Path | None, stack: ExitStack) -> tuple[MemoryGroup | None, int | None]:
    """How to hold a contender to a limit: a cgroup, or where none can be made, the samples of its PSS."""
    try:
        return stack.enter_context(MemoryGroup(size, parent)), None
    except NoCgroup as error:
        tell(f"{error}; killing at {size_text(size)} of sampled PSS instead")
        return None, size


@dataclass(frozen=True, slots=True)
class Contained:
    """A job run from the command line inside a cgroup."""

    job: str
    status: str
    usage: Usage
    kills: int
    peak: int | None


@dataclass(slots=True)
class ContainedStudy:
    """The jobs that were run inside a cgroup of `cgroup` bytes."""

    size: int
    cgroup: int
    memory: int
    runs: list[Contained] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        runs = [
            {
                "job": run.job,
                "status": run.status,
                "kills": run.kills,
                "peak": run.peak,
                "wall": run.usage.wall,
            }
            for run in self.runs
        ]
        return {
            "study": "cgroup",
            "size": self.size,
            "cgroup": self.cgroup,
            "memory": self.memory,
            "runs": runs,
        }

    def __str__(self) -> str:
        rows = [
            [
                run.job,
                f"{run.usage.wall:.1f}",
                f"{run.usage.peak / MIB:.0f}",
                f"{run.peak / MIB:.0f}" if run.peak is not None else "",
                str(run.kills),
                run.status,
            ]
            for run in self.runs
        ]
        head = ["", "wall s", "peak PSS MiB", "peak of the cgroup MiB", "processes killed", "output"]
        return (
            f"`asyncmr run --memory {self.memory}` over {size_text(self.size)} inside a memory cgroup of "
            f"{size_text(self.cgroup)}\n\n{markdown(head, rows)}"
        )


def contained(
    jobs: Sequence[str],
    cgroup: int,
    *,
    data: Path,
    size: int,
    workers: int = 2,
    memory: int | None = None,
    timeout: float = TIMEOUT,
    cgroup_parent: Path | None = None,
) -> ContainedStudy:
    """Runs each job by `python -m asyncmr run` inside a memory cgroup, its input not in the page cache.

    `memory`: the engine's, by default four fifths of the cgroup: the rest is for the host process and the page cache.

    Raises:
        NoCgroup: none can be made here.
    """
    memory = memory or cgroup * 4 // 5
    found = ContainedStudy(size, cgroup, memory)
    for job in jobs:
        inputs = corpus(data, CORPORA[job], size)
        expected = oracle.expected(inputs, job)
        chill(inputs)
        with (
            tempfile.TemporaryDirectory(prefix="bench-", dir=data) as name,
            MemoryGroup(cgroup, cgroup_parent) as group,
        ):
            output, log = Path(name, "output"), Path(name, "log")
            command = [sys.executable, "-m", "asyncmr", "run", f"benchmarks.limited:{job}"]
            command += [*map(os.fspath, inputs), "-o", str(output), "--no-progress"]
            command += ["--workers", str(workers), "--memory", str(memory)]
            usage = measure(command, log, timeout=timeout, group=group)
            kills, peak = group.kills(), group.peak()
            if usage.killed or usage.exit:
                status = usage.killed or f"exit status {usage.exit}: {last_words(log)}"
            else:
                status = verdict(output, expected, job == "sort") or "right"
        found.runs.append(Contained(job, status, usage, kills, peak))
        tell(f"cgroup {size_text(cgroup)} {job}: {status}, {usage.wall:.1f} s, {kills} killed")
    return found
