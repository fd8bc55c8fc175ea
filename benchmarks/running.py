"""One measured run of a contender: its folders, its process, its outcome."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cgroups import MemoryGroup
from benchmarks.checking import Checksum, verdict

ROOT = Path(__file__).parents[1]
TIMEOUT = 1800.0
GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command and all its descendants took.

    `wall`, `cpu`: seconds; `sampled`: the processor time is a lower bound, from samples. `peak`: bytes of PSS, the
    greatest of `samples` sums over the tree. `left`: how many processes it left behind that had to be killed.
    """

    wall: float
    cpu: float
    sampled: bool
    peak: int
    samples: int
    exit: int
    killed: str
    left: int


@dataclass(frozen=True, slots=True)
class Run:
    """A contender's run. `status` is "ok", or says what is wrong; without `usage` it never began."""

    peer: str
    work: str
    status: str
    usage: Usage | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    checksum: str = ""

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def added(self) -> int:
        """Peak PSS of the tree, less that of the process before the contender started."""
        return max(0, self.usage.peak - int(self.notes.get("before", 0))) if self.usage else 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    command: Sequence[str],
    log: Path,
    *,
    timeout: float = TIMEOUT,
    limit: int | None = None,
    grace: float = GRACE,
    group: MemoryGroup | None = None,
) -> Usage:
    """Runs a command and measures its whole tree of processes. What it prints goes to `log`.

    It is killed after `timeout` seconds, or when the tree's PSS is seen above `limit` bytes; what it leaves behind is
    killed after `grace` seconds. With a `group` it runs inside that memory cgroup.
    """
    inner = list(command) if group is None else group.entering(command)
    order = {"command": inner, "log": os.fspath(log), "timeout": timeout, "limit": limit, "grace": grace}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.monitor", json.dumps(order)],
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return Usage(**json.loads(done.stdout))


def environment() -> dict[str, str]:
    """What the measured process and its workers find: this checkout first, the same locale and hash seed for all."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    scripts = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    fixed = {"PYTHONPATH": path, "PATH": scripts, "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    return {**os.environ, **fixed}


def run_peer(
    peer: str,
    work: str,
    inputs: Sequence[Path],
    *,
    workers: int,
    expected: Checksum | None = None,
    ordered: bool = False,
    memory: int | None = None,
    limit: int | None = None,
    group: MemoryGroup | None = None,
    timeout: float = TIMEOUT,
    scratch: Path | None = None,
) -> Run:
    """Runs a contender once on a piece of work, in a process of its own, and checks what it wrote.

    `memory` is what the contender is told that it may use; `limit` and `group` are how that is enforced from outside.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", dir=scratch) as name:
        folder = Path(name)
        (folder / "output").mkdir()
        (folder / "scratch").mkdir()
        order = {
            "peer": peer,
            "work": work,
            "inputs": [os.fspath(path) for path in inputs],
            "output": str(folder / "output"),
            "scratch": str(folder / "scratch"),
            "notes": str(folder / "notes"),
            "workers": workers,
            "memory": memory,
        }
        usage = measure(
            [sys.executable, "-m", "benchmarks.child", json.dumps(order)],
            folder / "log",
            timeout=timeout,
            limit=limit,
            group=group,
        )
        notes = json.loads((folder / "notes").read_text()) if (folder / "notes").exists() else {}
        status, checksum = _status(folder, usage, notes, expected, ordered)
        if group is not None and group.kills():
            status = "out of memory: the kernel killed a process"
        return Run(peer, work, status, usage, notes, checksum)


def _status(
    folder: Path, usage: Usage, notes: Mapping[str, Any], expected: Checksum | None, ordered: bool
) -> tuple[str, str]:
    if usage.killed:
        return usage.killed, ""
    if usage.exit:
        return f"failed, exit status {usage.exit}: {last_words(folder / 'log')}", ""
    if "unsupported" in notes:
        return f"not supported: {notes['unsupported']}", ""
    if "refused" in notes:
        return f"refused: {notes['refused']}", ""
    if expected is None:
        return "ok", ""
    wrong = verdict(folder / "output", expected, ordered)
    return wrong or "ok", "" if wrong else str(expected)


def last_words(log: Path) -> str:
    """The last line that a failed process printed."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line[:300] for line in reversed(lines) if line), "it printed nothing")


def warm(paths: Sequence[Path]) -> None:
    """Reads files once, so that every contender finds them in the page cache."""
    for path in paths:
        with open(path, "rb") as source, open(os.devnull, "wb") as nowhere:
            shutil.copyfileobj(source, nowhere, 1 << 20)


def chill(paths: Sequence[Path]) -> None:
    """Drops files from the page cache, so that reading them counts for whoever does it."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
