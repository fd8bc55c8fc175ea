"""W9: how soon a word that was sent to the daemon can be seen in its answers, under a fixed load."""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.comparison import tell
from benchmarks.corpora import MB, corpus
from benchmarks.running import last_words, measure, warm
from benchmarks.table import markdown

# Words a second: half of what each is to carry.
RATES = {"tail": 1.5e6, "tcp": 1e6, "post": 1e6}
_WAYS = {"tail": "appended to a log", "tcp": "sent over TCP", "post": "posted"}
_NEEDED = ("starlette", "uvicorn", "prometheus_client")
_TEXT = 20 * MB
# Until all processes have imported what they need, and most words have been seen.
_WARM = 3.0


@dataclass(slots=True)
class Freshness:
    """What each round found, by the way in. `skipped` says what was not measured, and why."""

    rates: Mapping[str, float]
    found: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {"study": "freshness", "rates": dict(self.rates), "found": self.found, "skipped": self.skipped}

    def __str__(self) -> str:
        head = ["", "asked for, M words/s", "sent", "median ms", "p99 ms", "max ms", "words looked for"]
        rows = [
            [
                _WAYS[way],
                f"{self.rates[way] / 1e6:.2f}",
                f"{median(found['rate'] for found in rounds) / 1e6:.2f}",
                f"{median(found['p50'] for found in rounds):.0f}",
                f"{median(found['p99'] for found in rounds):.0f}",
                f"{max(found['max'] for found in rounds):.0f}",
                str(sum(found["ticks"] for found in rounds)),
            ]
            for way, rounds in self.found.items()
        ]
        title = "W9 from the sending of a word until the daemon's answer counts it"
        return "\n\n".join([title, *([markdown(head, rows)] if rows else []), *self.skipped])


def freshness(
    rates: Mapping[str, float] = RATES,
    *,
    data: Path,
    size: int = _TEXT,
    rounds: int = 3,
    workers: int = 2,
    seconds: float = 10.0,
    warm_up: float = _WARM,
) -> Freshness:
    """Measures each way at its words a second, for `seconds` after a warm-up, in rounds.

    `size`: of the text that is sent, again and again.
    """
    study = Freshness(rates)
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        study.skipped.append(f"W9 was not measured: {', '.join(missing)} is not installed.")
        return study
    inputs = corpus(data, "words", size)
    warm(inputs)
    for _ in range(rounds):
        for way, rate in rates.items():
            order = {"way": way, "rate": rate, "input": str(inputs[0]), "workers": workers}
            order |= {"seconds": seconds, "warm": warm_up}
            try:
                found = _run(order, data)
            except RuntimeError as error:
                study.skipped.append(f"W9 {_WAYS[way]}: {error}")
                continue
            study.found.setdefault(way, []).append(found)
            tell(f"W9 {way}: " + ", ".join(f"{name} {value:.1f}" for name, value in found.items()))
    return study


def _run(order: dict[str, Any], data: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=data) as name:
        result, log = Path(name, "result"), Path(name, "messages")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        order = {**order, "scratch": name, "result": str(result), "tcp_port": port}
        usage = measure([sys.executable, "-m", "benchmarks.paced", json.dumps(order)], log)
        if usage.exit or usage.killed:
            raise RuntimeError(f"failed, exit status {usage.exit}: {last_words(log)}")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return {**found, "cpu": usage.cpu}
