"""What a contender is given, and what it gives."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.tree import pss
from benchmarks.workloads import SMALL_LINES, WORKLOADS, Workload


class Unsupported(Exception):
    """This contender cannot do this work, at all or with these arguments; the message says why."""


class Refused(Exception):
    """The contender said, before it began, that it cannot work within this memory."""


@dataclass(slots=True)
class Task:
    """One run: the work, its input files, and folders that exist.

    `output` takes files named `part-*`; `scratch` takes anything. `memory`: the bytes that the contender may use, None
    for what it takes by default. `notes` go into the run's record.
    """

    work: str
    inputs: list[Path]
    output: Path
    scratch: Path
    workers: int
    memory: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def workload(self) -> Workload:
        return WORKLOADS[self.work]

    def part(self, number: int) -> Path:
        """The path of a part of the output."""
        return self.output / f"part-{number:05d}"

    def lines(self) -> list[str]:
        """The input's lines, all in memory: for small inputs."""
        return [line for path in self.inputs for line in path.read_text(encoding="utf-8").splitlines()]

    def counted(self, counts: Mapping[str, int], seconds: float) -> None:
        """Writes what a stream of words has come to, and notes the seconds that took from the first line on until
        the last was counted."""
        self.part(0).write_text(
            "".join([f"{word}\t{count}\n" for word, count in counts.items()]), encoding="utf-8"
        )
        self.notes["words"] = sum(counts.values())
        self.notes["seconds"] = seconds

    def begins(self) -> None:
        """The contender is imported and about to start: what it takes from here on is its own."""
        self.notes["before"] = pss()

    def repeat(self, count_words: Callable[[list[str]], Mapping[str, int]], times: int = 200) -> None:
        """Times the word count of a few lines, again and again; the first call apart.

        Raises:
            ValueError: a count is wrong.
        """
        right = Counter(" ".join(SMALL_LINES).split())
        seconds = []
        for _ in range(times + 1):
            begin = time.perf_counter()
            found = count_words(SMALL_LINES)
            seconds.append(time.perf_counter() - begin)
            if dict(found) != right:
                raise ValueError(f"wrong output: {dict(found)} instead of {dict(right)}")
        self.notes["first_ms"] = seconds[0] * 1e3
        self.notes["ms"] = [second * 1e3 for second in seconds[1:]]


@dataclass(frozen=True, slots=True)
class Peer:
    """A contender: its name in tables, what must be installed, and its function for each piece of work."""

    title: str
    runs: Mapping[str, Callable[[Task], None]]
    modules: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def every(function: Callable[[Task], None], works: Iterable[str]) -> dict[str, Callable[[Task], None]]:
    """The same function for several pieces of work."""
    return dict.fromkeys(works, function)
