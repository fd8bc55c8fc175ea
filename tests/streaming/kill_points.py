"""A stream that is killed at each step of each commit, and started again, until its input is at its end.

    python -m tests.streaming.kill_points FOLDER [MUTANT]

A child process runs the stream and dies at the step; others, each with another number of keepers, go on, and die at the
same step of their first commit; the last one is left alone. The parent compares what that one counted with an oracle of
three lines. It prints the steps at which a count was wrong, and fails if there are any; so it does with the file that
the stream wrote meanwhile. One mutant commits positions in a transaction of their own, the other leaves in the file
what was not committed.

The user's functions run in the child itself, so that it can be forked: a hundred children take seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import operator
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncmr
from asyncmr import Job
from asyncmr.streaming.commit import Commit, Move
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.stream import Stream
from tests.streaming.fatal_file import CarelessFile, FatalFile, FatalLines, rightly_written
from tests.streaming.feeds import Instant, Listed

BATCHES = [f"w{n % 3} w{n % 5} all\nbad {n}\n".encode() for n in range(6)]
ORACLE = Counter(word.decode() for batch in BATCHES for word in batch.split(b"\n")[0].split())
# What is counted beside them: pairs, lines that failed, and the user's counters.
BESIDE = [ORACLE.total(), len(BATCHES), {"lines": {"good": len(BATCHES)}}]
STEPS = (
    "read", "written in part", "written", "synced", "kept", "begin", "deltas", "positions", "tokens", "commit",
    "committed", "told", "cold", "stays", "moved",
)  # fmt: skip


def words(_key, line):
    if line.startswith("bad"):
        raise ValueError(line)
    asyncmr.counter("lines", "good").increment()
    return [(word, 1) for word in line.split()]


JOB = Job(mapper=words, fold=operator.add, partitions=5)


class TwoTransactions(StateStore):
    """The mutant."""

    def commit(self, commit: Commit) -> None:
        super().commit(commit)
        with self._transaction() as database:
            super()._write_positions(database, commit)

    def _write_positions(self, database, commit):
        pass


class TwoMoves(StateStore):
    """Another mutant: keys leave their table in one transaction, and become cold in the next."""

    def move(self, moves: Sequence[Move]) -> None:
        super().move([Move(move.place, stays=move.stays, cold=move.cold) for move in moves])
        with self._transaction():
            self._cold.move(moves)


class Fatal:
    """Kills the process when a step is reached the n-th time."""

    def __init__(self, step: str, times: int) -> None:
        self._step = step
        self._left = times

    def reach(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


class FatalClock(Instant):
    """Its time is asked for between what the keepers did and the transaction."""

    def __init__(self, fatal: Fatal) -> None:
        super().__init__()
        self._reach = fatal.reach

    def time(self) -> float:
        if sys._getframe(1).f_code.co_name == "_commit":
            self._reach("kept")
        return super().time()


class FatalFeed(Listed):
    """Dies before it gives a batch, and when it hears that one is durable."""

    def __init__(self, fatal: Fatal) -> None:
        super().__init__(BATCHES, [2, 1])
        self._reach = fatal.reach

    async def batches(self, positions, around):
        async for batch in super().batches(positions, around):
            self._reach("read")
            yield batch
            self._reach("told")


class Kinds(NamedTuple):
    """What is run, as it is or as a mutant."""

    store: type[StateStore] = StateStore
    file: type[FatalFile] = FatalFile


MUTANTS = {
    "two-transactions": Kinds(store=TwoTransactions),
    "two-moves": Kinds(store=TwoMoves),
    "careless-file": Kinds(file=CarelessFile),
}


async def stream(
    folder: Path, fatal: Fatal, keepers: int, state_memory: int | None, kinds: Kinds
) -> tuple[dict[str, int], list[Any]]:
    def make_store(path, *, durable):
        return kinds.store(path, durable=durable, reach=fatal.reach)

    async with Stream(
        JOB,
        [FatalFeed(fatal)],
        sinks=[FatalLines(folder / "changes", kinds.file, fatal.reach)],
        state=folder / "state",
        executor="inline",
        workers=1,
        keepers=keepers,
        clock=FatalClock(fatal),
        durable=False,
        make_store=make_store,
        state_memory=state_memory,
        on_error="skip",
    ) as running:
        await running.join()
        stats = running.stats()
        aside = b"".join(lines for _, lines in await running.set_aside())
        assert aside.count(b"\n") == stats.skipped
        return dict(await running.top(100)), [stats.pairs, stats.skipped, stats.counters]


def child(folder: Path, fatal: Fatal, keepers: int, state_memory: int | None, kinds: Kinds) -> bool:
    """Runs the stream in a process of its own; whether it was killed. What it counted lies in a file then."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            counts = asyncio.run(stream(folder, fatal, keepers, state_memory, kinds))
            (folder / "counts").write_text(json.dumps(counts))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if status:
        sys.exit(f"the stream failed, status {status}")
    return False


def main(folder: Path, kinds: Kinds) -> int:
    logging.disable(logging.WARNING)  # of the lines that fail
    wrong, kills = [], 0
    for step in STEPS:
        for times in (1, 2, 3):
            room = folder / f"{step}-{times}"
            room.mkdir()
            # Without memory for them, all keys are cold between two epochs.
            state_memory = None if times == 2 else 1
            if child(room, Fatal(step, times), 1, state_memory, kinds):
                kills += 1
                kills += child(room, Fatal(step, 2), 3, 1, kinds)
                child(room, Fatal("", 0), 2, state_memory, kinds)
            counts, beside = json.loads((room / "counts").read_text())
            if counts != ORACLE or beside != BESIDE or not rightly_written(room / "changes", ORACLE):
                wrong.append(f"{step}-{times}")
    print(json.dumps({"kills": kills, "wrong": wrong}))  # noqa: T201
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), MUTANTS[sys.argv[2]] if sys.argv[2:] else Kinds()))
