"""A driver with a journal that is killed at each step that it leaves on the disk, and run again.

    python -m tests.engine.kill_points SHAPE FOLDER [KILLS [MUTANT]]

A step is a write, a transaction, a rename, a deletion. So many of them are chosen, all over the run; a child process
runs the job and dies just before this step, or half-way through it; another child runs the job again. The parent
compares what that one writes with the output of an undisturbed run, and what it did with what was committed before. It
prints what it saw, as JSON, and fails where something is wrong.

The user's functions run in the child itself, so that it can be forked: a hundred children take seconds.
"""

from __future__ import annotations

import asyncio
import json
import operator
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncmr
from asyncmr import Job
from asyncmr.connectors import part_files
from asyncmr.connectors.text import TextFiles
from asyncmr.engines.local import LocalEngine
from asyncmr.pipeline.limits import Limits
from asyncmr.storage import disk, durable_store
from asyncmr.storage.journal import Journal
from asyncmr.storage.journal_folder import JournalFolder

LINES = [f"{n % 7} w{n % 13} w{n % 5} {n:04}" for n in range(96)]
SPILL: Any = import_module("asyncmr.storage.spill_file")
LOADED = LocalEngine  # here, for all children
SPLIT = 130  # a few lines each

# Every stage with tasks of its own, small tables, and merges in several passes.
TINY = Limits(
    fused=0,
    table=2000,
    fan_in=2,
    large_partial=0,
    share=200,
    whole=64,
    bucket=64,
    round=1,
    merged=2,
    split=2000,
)
PLAIN = Limits(fused=0, least_partitions=3, fan_in=2, large_partial=0)


def words(_key, line):
    for word in line.split():
        asyncmr.counter("seen", "words").increment()
        yield word, 1


def first_words(_key, line):
    key, *rest = line.split()
    yield key, rest[-1]


def total(key, values):
    asyncmr.counter("seen", "groups").increment()
    yield key, sum(values)


def listed(key, values):
    yield key, ",".join(values)


def renamed(key, value):
    yield f"<{key}>", value


def by_count(key, value):
    yield value, key


COUNT = Job(mapper=words, fold=operator.add, name="count", partitions=3)
SHAPES: dict[str, tuple[Job, Limits | None]] = {
    "fold": (COUNT, PLAIN),
    "classic": (Job(mapper=words, combiner=total, reducer=total, partitions=3), TINY),
    "values": (Job(mapper=first_words, reducer=listed, partitions=2), TINY),
    "sorted": (Job(mapper=first_words, reducer=listed, partitions=2, sort=True), TINY),
    "total order": (Job(mapper=first_words, sort="total", partitions=3), PLAIN),
    "only maps": (Job(mapper=words), PLAIN),
    "chain": (
        COUNT.then(Job(mapper=renamed)).then(Job(mapper=by_count, reducer=listed, partitions=2, sort=True)),
        PLAIN,
    ),
    "small": (COUNT, None),
}


class Steps:
    """Counts the steps of this process, and kills it at the one numbered `fatal`."""

    def __init__(self, fatal: int | None, *, half: bool = False) -> None:
        self.names: list[str] = []
        self._fatal = fatal
        self._half = half
        self._lock = threading.Lock()

    def step(self, name: str, half: Callable[[], object] = lambda: None) -> None:
        with self._lock:
            if len(self.names) == self._fatal:
                if self._half:
                    half()
                os.kill(os.getpid(), signal.SIGKILL)
            self.names.append(name)

    def watch(self, owner: Any, name: str, half: Callable[..., object] = lambda *_: None) -> None:
        """Makes each call of this function a step."""
        original = getattr(owner, name)

        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.step(name, partial(half, *args))
            return original(*args, **kwargs)

        setattr(owner, name, stepped)

    def watch_all(self) -> None:
        for owner, name in [
            (Journal, "insert"), (Journal, "note"), (Journal, "clear"), (JournalFolder, "keep_only"),
            (os, "rename"), (os, "unlink"), (os, "mkdir"), (shutil, "rmtree"), (part_files.PartFiles, "_put"),
        ]:  # fmt: skip
            self.watch(owner, name)
        self.watch(SPILL, "write_at", _half_of_blocks)
        self.watch(disk, "_append", lambda path, data: _append(path, data[: len(data) // 2]))


_write_at, _append = SPILL.write_at, disk._append


def _half_of_blocks(fd: int, buffers: list[bytes], offset: int) -> None:
    whole = b"".join(buffers)
    _write_at(fd, [whole[: len(whole) // 2]], offset)


def commit_before_the_data() -> None:
    """A wrong order: blocks are written after the epochs that speak of them."""
    late: list[Callable[[], object]] = []
    insert, write_at = Journal.insert, SPILL.write_at

    def inserted(self: Journal, *args: Any) -> bool:
        done = insert(self, *args)
        while late:
            late.pop(0)()
        return done

    SPILL.write_at = lambda *args: late.append(partial(write_at, *args))
    Journal.insert = inserted  # type: ignore[assignment, method-assign]


def trust_the_files() -> None:
    """What lies in the journal's files is not looked at before it counts."""
    setattr(durable_store, "check_extents", lambda _: None)  # noqa: B010


def trust_late_data() -> None:
    """Both."""
    commit_before_the_data()
    trust_the_files()


MUTANTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "commit before the data": commit_before_the_data,
    "trust late data": trust_late_data,
}


class Harness:
    """One job, killed and run again in one folder."""

    def __init__(self, shape: str, folder: Path, mutant: str) -> None:
        self._job, self._limits = SHAPES[shape]
        self._folder = folder
        self._mutant = MUTANTS[mutant]
        self._input = folder / "in.txt"
        self._input.write_text("\n".join(LINES[:20] if shape == "small" else LINES) + "\n")
        self.journal, self.output = folder / "journal", folder / "out"

    def run(self, steps: Steps, *, workers: int = 2) -> int:
        """Runs the job in a child; returns how that ended. Its report and steps are in files."""
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        status = 1
        try:
            steps.watch_all()
            self._mutant()
            report = asyncio.run(self._run(workers))
            (self._folder / "report.json").write_text(json.dumps(report.as_dict()))
            (self._folder / "steps.json").write_text(json.dumps(steps.names))
            status = 0
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            sys.stderr.flush()
            os._exit(status)

    async def _run(self, workers: int) -> asyncmr.Report:
        limits: dict[str, Any] = {} if self._limits is None else {"limits": self._limits}
        return await asyncmr.run(
            self._job,
            TextFiles(str(self._input), split_bytes=SPLIT if self._limits else 1 << 20),
            self.output,
            resume=self.journal,
            workers=workers,
            executor="inline",
            spill_dir=self._folder,
            **limits,
        )

    def clear(self) -> None:
        shutil.rmtree(self.output, ignore_errors=True)
        shutil.rmtree(self.journal, ignore_errors=True)

    def written(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.output.iterdir())}

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self._folder / "report.json").read_text())
        return report

    def steps(self) -> list[str]:
        names: list[str] = json.loads((self._folder / "steps.json").read_text())
        return names

    @contextmanager
    def opened(self) -> Iterator[Journal]:
        journal = Journal(self.journal)
        journal.open()
        try:
            yield journal
        finally:
            journal.close()

    def committed(self) -> dict[str, int]:
        """How many tasks of each stage the journal has."""
        counts: dict[str, int] = {}
        if (self.journal / "journal.sqlite").exists():
            with self.opened() as journal:
                for stage, _, record in journal.epochs():
                    for name in (stage, *record["beside"]):
                        counts[name] = counts.get(name, 0) + 1
        return counts


def check(harness: Harness, shape: str, kills: int) -> dict[str, Any]:
    """Kills the job so often; returns what was seen."""
    assert harness.run(Steps(None)) == 0
    expected, report, steps = harness.written(), harness.report(), harness.steps()
    assert b"".join(expected.values()), "an empty output shows nothing"
    resumed = 0
    chosen = sorted({(2 * number + 1) * len(steps) // (2 * kills) for number in range(kills)})
    for number, fatal in enumerate(chosen):
        harness.clear()
        half = number % 2 == 1
        where = f"{shape}, killed at step {fatal} ({steps[fatal]}{', half-way' if half else ''})"
        killed = harness.run(Steps(fatal, half=half))
        assert killed in (-signal.SIGKILL, 0), where  # it may take some steps fewer, and be done
        committed = harness.committed()
        if number % 3 == 2:  # and once more, somewhere in the second run
            harness.run(Steps(min(3, fatal)), workers=1)
            committed = harness.committed() or committed
        done = (harness.output / "_SUCCESS").exists()
        assert harness.run(Steps(None), workers=1 + number % 3) == 0, where
        assert harness.written() == expected, where
        again = harness.report()
        assert again["counters"] == report["counters"], where
        for name, stage in report["stages"].items():
            found = again["stages"][name]
            for figure in ("tasks", "pairs_in", "pairs_out", "records_in", "bytes_in", "bytes_out"):
                assert found[figure] == stage[figure], (where, name, figure)
            if committed or not done:
                assert found["resumed"] == committed.get(name, 0), (where, name, found["resumed"], committed)
            resumed += found["resumed"]
        left = sorted(path.name for path in harness.journal.rglob("*") if path.suffix == ".spill")
        assert not left, (where, left)
    return {"steps": len(steps), "kills": len(chosen), "resumed": resumed}


if __name__ == "__main__":
    shape, folder, kills, mutant = [*sys.argv[1:], *("40", "none")[len(sys.argv) - 3 :]]
    sys.stdout.write(json.dumps(check(Harness(shape, Path(folder), mutant), shape, int(kills))))
