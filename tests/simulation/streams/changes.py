"""What a stream has written to a file, against what it has committed."""

from __future__ import annotations

import json
from typing import Any

from tests.simulation.streams.plan import StreamPlan
from tests.simulation.streams.witness import Witness


def check_changes(data: bytes, plan: StreamPlan, witness: Witness, broken: list[str], *, whole: bool) -> None:
    """All changes are in the file, each once; what a process wrote that was killed or failed may come behind."""
    lines = [json.loads(line) for line in data.split(b"\n")[:-1]]
    last = witness.last.epoch
    behind = [line for line in lines if line["epoch"] > last]
    if behind and whole:
        broken.append(f"the file holds what is not committed: {behind[0]}; committed is epoch {last}")
    lines = lines[: len(lines) - len(behind)]
    epochs = [line["epoch"] for line in lines]
    if epochs != sorted(epochs):
        broken.append(f"the epochs of the file are not in order: {epochs}")
    seen = {(line["epoch"], line["window"], json.dumps(line["key"])) for line in lines}
    if len(seen) < len(lines):
        broken.append(f"the file holds something twice: {len(lines)} lines, {len(seen)} of them different")
    if plan.windowing.emit == "updates" and (plan.by_lines or plan.window == "none"):
        _check_state(lines, plan, witness, broken)


def _check_state(lines: list[dict[str, Any]], plan: StreamPlan, witness: Witness, broken: list[str]) -> None:
    """The latest of each key is what was committed."""
    known = witness.last
    found: dict[Any, dict[str, Any]] = {}
    for line in lines:
        found.setdefault(line["window"], {})[json.dumps(line["key"])] = line["value"]
    for window in witness.windows(known) if plan.by_lines else [None]:
        if window is not None and not known.dropped.isdisjoint(plan.windowing.windows.panes_of(window)):
            continue
        start = None if window is None or window.start is None else window.start / 1000
        wanted = {
            json.dumps(key): json.loads(json.dumps(value))
            for key, value in witness.table(known, window).items()
        }
        if found.get(start, {}) != wanted:
            broken.append(
                f"the changes in the file come to {found.get(start)} in {window}, not {wanted}: {known}"
            )
