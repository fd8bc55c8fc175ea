"""What workers print and log, passed on to the `logging` of the host with job and worker named.

A print becomes a record of `asyncmr.worker.stdout` (INFO) or `asyncmr.worker.stderr` (WARNING); a log record keeps
its logger, level and place. That happens on the loop, a millisecond at a time. A job that says too much loses what is
beyond its allowance, rather than its speed, and how much that was is said.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from contextlib import suppress
from time import perf_counter
from typing import Self
from weakref import WeakKeyDictionary

from anyio import CancelScope

from asyncmr.engines.allowance import LINES, Allowance
from asyncmr.workers import Account, Said
from asyncmr.workers.forwarding import unpacked

# Bytes of all jobs that may wait to be passed on, and what a line takes beside its own.
WAITING, ENTRY = 1 << 20, 200
# Seconds that the loop is held at a time.
SLICE = 0.001

_PRINTED = {
    "stdout": (logging.getLogger("asyncmr.worker.stdout"), logging.INFO),
    "stderr": (logging.getLogger("asyncmr.worker.stderr"), logging.WARNING),
    "dropped": (logging.getLogger("asyncmr.worker"), logging.WARNING),
}

Origin = tuple[Account, str, str]  # the job's account, the stage, and the task, as attempts name them
Line = tuple[Origin, int, str, bytes]


class WorkerLog:
    """Takes what the workers of one engine say. For the thread of the loop on which it was made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Line] = deque()
        self._bytes = 0
        self._passing = False
        self._allowances: WeakKeyDictionary[Account, dict[str, Allowance]] = WeakKeyDictionary()
        self._nobody: Origin = (Account(), "", "")  # what is said before a worker has had its first job
        self._untold = False
        stdout, level = _PRINTED["stdout"]
        if stdout.level == logging.NOTSET:
            stdout.setLevel(level)  # a print is meant to be seen, also where the root logger is at WARNING

    def take(self, said: Said) -> None:
        """Keeps what a worker said; it is passed on in the next turns of the loop."""
        origin: Origin = said.about or self._nobody  # type: ignore[assignment]  # what the pool was given
        allowances = self._allowances.setdefault(origin[0], {})
        allowance = allowances.setdefault(said.kind, Allowance())
        allowed, dropped = allowance.take(len(said.lines), self._loop.time())
        if dropped:
            self._keep((origin, said.worker, "dropped", _notice(dropped, said.kind)))
        for line in said.lines[:allowed]:
            if self._bytes + len(line) + ENTRY <= WAITING:
                self._keep((origin, said.worker, said.kind, line))
            else:
                allowance.drop()
                self._untold = True
        self._untold |= allowed < len(said.lines)
        if self._waiting and not self._passing:
            self._passing = True
            self._loop.call_soon(self._pass)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """What a job inside has said is passed on when it ends."""
        if self._waiting or self._untold:
            with CancelScope(shield=True):
                await self.flush()

    async def flush(self) -> None:
        """Returns when all that was said so far has been passed on, or told to have been dropped."""
        while self._waiting:
            self._pass_some()
            await asyncio.sleep(0)
        if self._untold:
            self._untold = False
            for account, allowances in self._allowances.items():
                for kind, allowance in allowances.items():
                    if dropped := allowance.told():
                        _emit(((account, "", ""), 0, "dropped", _notice(dropped, kind)))

    def _keep(self, line: Line) -> None:
        self._bytes += len(line[-1]) + ENTRY
        self._waiting.append(line)

    def _pass(self) -> None:
        self._pass_some()
        self._passing = bool(self._waiting)
        if self._passing:
            self._loop.call_soon(self._pass)

    def _pass_some(self) -> None:
        until = perf_counter() + SLICE
        while self._waiting and perf_counter() < until:
            line = self._waiting.popleft()
            self._bytes -= len(line[-1]) + ENTRY
            try:
                _emit(line)
            except Exception as error:  # a filter of the application's, say
                message = "what a worker printed or logged could not be passed on"
                self._loop.call_exception_handler({"message": message, "exception": error})


def _notice(dropped: int, kind: str) -> bytes:
    what = "log records" if kind == "log" else f"lines of {kind}"
    return f"{dropped:,} more {what} were dropped; of each job {LINES:,} a second are shown".encode()


def _name(record: logging.LogRecord, job: str, stage: str, task: str, worker: int) -> None:
    """Says in a record, and at the beginning of its message, where it comes from."""
    place = f"{job}: {stage}" if stage else job
    where = ", ".join(filter(None, (place, f"worker {worker}" if worker else "")))
    facts = {"job": job, "stage": stage, "task": task, "worker": worker}
    vars(record).update({f"asyncmr_{name}": value for name, value in facts.items()})
    # What groups records by the message before its arguments are put in groups those of all workers.
    record.msg, record.args = "[%s] " + record.msg.replace("%", "%%"), (where,)


def _emit(line: Line) -> None:
    """Hands a line to the logger that it belongs to."""
    (account, stage, task), worker, kind, data = line
    if kind == "log":
        try:
            record = unpacked(data)
        except (ValueError, TypeError, EOFError, KeyError):
            return  # somebody wrote into a descriptor that is none of theirs
        logger = logging.getLogger(record.name)
    else:
        logger, level = _PRINTED[kind]
        text = data.decode(errors="replace")
        record = logger.makeRecord(logger.name, level, "(worker)", 0, text, (), None)
        record.process, record.processName = worker, "asyncmr-worker"
    if not logger.isEnabledFor(record.levelno):
        return
    _name(record, account.name, stage, task, worker)
    if kind == "log" or logger.hasHandlers():
        logger.handle(record)
    elif sys.stderr is not None:  # nobody has set up logging: as a print is seen
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{record.getMessage()}\n")
