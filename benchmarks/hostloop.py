"""W7: what jobs do to the event loop that they run on: late timers, slow answers, the work of the loop itself."""

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
from benchmarks.corpora import corpus
from benchmarks.peers import Unsupported
from benchmarks.running import last_words, measure, warm
from benchmarks.table import markdown, size_text
from benchmarks.workloads import WORKLOADS

WORKS = ("W1", "W2", "W4")
CONTROL = "busy"
RATE = 200.0
_LEAST_SECONDS = 5.0
_NAMES = {"busy": "control: two busy processes", "idle": "nothing beside it"}

Found = dict[str, Any]


class HostFailedError(Exception):
    """The process that was to be measured failed; what was found before stands."""


@dataclass(slots=True)
class HostLoop:
    """What each round found, by what ran beside the loop: the timer's lateness, the loop's own processor time, the
    endpoint's latencies. `skipped` says what was not measured, and why."""

    size: int
    late: dict[str, list[Found]] = field(default_factory=dict)
    quiet: dict[str, list[Found]] = field(default_factory=dict)
    endpoint: dict[str, list[Found]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "study": "host loop",
            "size": self.size,
            "late": self.late,
            "quiet": self.quiet,
            "endpoint": self.endpoint,
            "skipped": self.skipped,
        }

    def __str__(self) -> str:
        title = f"W7 a timer of 1 ms on the host's loop, ms late; jobs over {size_text(self.size)}"
        parts = [title, self._lateness()]
        if {"idle", CONTROL} <= self.endpoint.keys():
            parts += [
                f"W7 an HTTP endpoint under {RATE:.0f} requests a second, ms from when a request was due",
                self._answers(),
            ]
        return "\n\n".join([*parts, *self.skipped])

    def _lateness(self) -> str:
        head = ["beside it", "median", "p99", "max", "p99 above control", "max above control"]
        head += ["loop's CPU, % of workers'", "host's CPU, %"]
        rows = []
        for beside, rounds in self.late.items():
            row = [_name(beside), _middle(rounds, "p50"), _middle(rounds, "p99"), f"{_most(rounds):.1f}"]
            control = self.late.get(CONTROL)
            if beside == CONTROL or not control:
                rows.append([*row, "", "", "", ""])
                continue
            quiet = self.quiet.get(beside, [])
            shares = [_share(quiet, what) for what in ("loop", "host")]
            above = median(found["p99"] for found in rounds) - median(found["p99"] for found in control)
            rows.append([*row, f"{above:.2f}", f"{_most(rounds) - _most(control):.1f}", *shares])
        return markdown(head, rows)

    def _answers(self) -> str:
        head = ["beside it", "median", "p99", "max", "p99 above nothing", "p99 above control"]
        rows = []
        for beside, rounds in self.endpoint.items():
            above = [
                f"{median(found['p99'] for found in rounds) - median(other['p99'] for other in others):.2f}"
                for others in (self.endpoint["idle"], self.endpoint[CONTROL])
            ]
            row = [_name(beside), _middle(rounds, "p50"), _middle(rounds, "p99"), f"{_most(rounds):.1f}"]
            rows.append([*row, *above])
        return markdown(head, rows)


def _share(quiet: Sequence[Found], what: str) -> str:
    """The processor time of the loop or its process, for 100 seconds of the workers'."""
    return f"{100 * median(found[what] / found['workers'] for found in quiet):.1f}" if quiet else ""


def _name(beside: str) -> str:
    return _NAMES.get(beside) or f"{beside} {WORKLOADS[beside].title}"


def _middle(rounds: Sequence[Found], what: str) -> str:
    return f"{median(found[what] for found in rounds):.2f}"


def _most(rounds: Sequence[Found]) -> float:
    return float(max(found["max"] for found in rounds))


def host_loop(
    works: Sequence[str] = WORKS,
    *,
    data: Path,
    size: int,
    rounds: int = 3,
    workers: int = 2,
    memory: int | None = None,
    seconds: float = 10.0,
) -> HostLoop:
    """Measures the timer beside each job and the control, and the endpoint for `seconds` beside each, in rounds."""
    found = HostLoop(size)
    try:
        _measure(works, found, data, rounds, {"workers": workers, "memory": memory}, seconds)
    except HostFailedError as error:
        found.skipped.append(str(error))
    return found


def _measure(
    works: Sequence[str], found: HostLoop, data: Path, rounds: int, order: Found, seconds: float
) -> None:
    size = found.size
    served = bool(find_spec("starlette") and find_spec("uvicorn"))
    if not served:
        found.skipped.append("The HTTP endpoint was not measured: starlette and uvicorn are not installed.")
    possible = [work for work in works if _possible(work, found)]
    for _ in range(rounds):
        longest = _LEAST_SECONDS
        for work in possible:
            one = {**order, "beside": work, "inputs": _inputs(data, work, size)}
            found.late.setdefault(work, []).append(_run({**one, "timer": True}, data))
            found.quiet.setdefault(work, []).append(_run({**one, "timer": False}, data))
            longest = max(longest, found.late[work][-1]["wall"])
        # As long as the longest job: the greatest of many is greater than that of few.
        control = {**order, "beside": CONTROL, "timer": True, "seconds": longest}
        found.late.setdefault(CONTROL, []).append(_run(control, data))
        for beside in ("idle", CONTROL, *possible) if served else ():
            inputs = _inputs(data, beside, size) if beside in possible else []
            one = {**order, "beside": beside, "inputs": inputs, "rate": RATE, "seconds": seconds}
            found.endpoint.setdefault(beside, []).append(_run(one, data))


def _possible(work: str, found: HostLoop) -> bool:
    from benchmarks.peers.asyncmr_classic_peer import classic

    try:
        classic(work)
    except Unsupported as error:
        found.skipped.append(f"{work} was not measured: {error}.")
        return False
    return True


def _inputs(data: Path, work: str, size: int) -> list[str]:
    inputs = corpus(data, WORKLOADS[work].corpus, size)
    warm(inputs)
    return list(map(str, inputs))


def _run(order: Found, data: Path) -> Found:
    """What the host process found.

    Raises:
        HostFailedError: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", dir=data) as name:
        result, log = Path(name, "result"), Path(name, "log")
        order = {**order, "scratch": name, "result": str(result)}
        usage = measure([sys.executable, "-m", "benchmarks.host", json.dumps(order)], log)
        if usage.exit or usage.killed:
            raise HostFailedError(
                f"The host beside {order['beside']} failed, exit status {usage.exit}: {last_words(log)}"
            )
        found: Found = json.loads(result.read_text(encoding="utf-8"))
    figures = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
    tell(f"W7 beside {order['beside']}: {figures}")
    return found
