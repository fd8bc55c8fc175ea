"""ProcessSlot: one worker process behind a ProcessPoolExecutor of its own.

One executor a slot, since one death breaks a whole ProcessPoolExecutor. `start`, `stop` and `join` block and
belong in a thread; `submit` and `kill` are for the event loop. A slot is used once: after a death or a kill
the pool makes another.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import Any

from asyncmr.errors import MainGuardError, PoolStartError
from asyncmr.workers import entry
from asyncmr.workers.blocks import Probe
from asyncmr.workers.failures import likely_cause
from asyncmr.workers.guard import ADVICE, GUARD_EXIT, forkserver_left

_log = logging.getLogger("asyncmr")

START_LIMIT = 120.0  # seconds: the script that a worker imports may load large libraries
STOP_LIMIT = 0.2  # seconds for a worker to leave by itself before it is killed
NICENESS = 5

# With what nearly every script that starts a job imports as well: shared by all workers, and imported once.
PRELOAD = ("concurrent.futures.process", "cloudpickle", "asyncio", "asyncmr.workers.entry")


class ProcessSlot:
    """One worker process."""

    def __init__(self, preload: Sequence[str], probe: Probe | None) -> None:
        self._preload = preload
        self._probe = probe
        self._executor: ProcessPoolExecutor | None = None
        self._process: Any = None
        self._killed = False
        self.maps_segments = False

    @property
    def sentinel(self) -> int | None:
        """A file descriptor that becomes readable when the process dies."""
        return None if self._process is None else self._process.sentinel

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts the process and waits until it answers: 60 to 100 ms, longer for the first.

        Raises:
            PoolStartError: the process did not come up.
            MainGuardError: it came up inside a script without a main guard.
        """
        _preload(self._preload)
        context = multiprocessing.get_context("forkserver")
        executor = ProcessPoolExecutor(1, context, entry.start, (NICENESS,))
        self._executor = executor
        probe = self._probe
        try:
            hello = (None, b"") if probe is None else (probe.ref, probe.content)
            answer = executor.submit(entry.hello, *hello)
            self._process = next(iter(executor._processes.values()), None)
            # Every start of a process polls all known ones, in its own thread; of two threads that poll a
            # dead process at once, one reads its exit code and the other overwrites it with 255.
            getattr(multiprocessing.process, "_children", set()).discard(self._process)
            if self._killed:
                self.kill()
            self.maps_segments = answer.result(timeout=START_LIMIT)
        except BaseException as exc:
            self.kill()
            self._raise_start_error(exc, self.join())
        self._close_result_writer(executor)

    def submit(self, operation: str, *arguments: Any) -> Future[Any]:
        """Calls a method of the worker.

        Raises:
            BrokenExecutor: the worker is dead.
        """
        if self._executor is None or self._killed:
            raise BrokenExecutor("the worker was stopped")
        return self._executor.submit(entry.call, operation, *arguments)

    def kill(self) -> None:
        """Kills the process and its children, now. Its `join` is still to be called."""
        self._killed = True
        pid = self.pid
        if pid is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if self._process is not None and not wait([self._process.sentinel], 0):
            with suppress(ProcessLookupError):  # it may not lead its group yet
                os.kill(pid, signal.SIGKILL)

    def join(self) -> int | None:
        """Waits for the end of a dead or killed process; its exit code."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)
        if self._process is None:
            return None
        self.kill()  # children that outlived it
        # Let go of, or an exception that somebody keeps would hold its descriptors open.
        process, self._process = self._process, None
        code: int | None = process.exitcode
        return code

    def stop(self) -> None:
        """Lets an idle process leave by itself for a moment, then kills it."""
        if self._executor is not None and self._process is not None and not self._killed:
            self._executor.shutdown(wait=False)
            wait([self._process.sentinel], STOP_LIMIT)
        self.kill()
        self.join()

    def _raise_start_error(self, exc: BaseException, code: int | None) -> None:
        if code == GUARD_EXIT or forkserver_left():
            raise MainGuardError(f"no worker process could be started: {ADVICE}") from exc
        if isinstance(exc, BrokenExecutor):
            why = f"it ended at once ({likely_cause(code)}); what it wrote to standard error says more"
        else:
            why = f"{type(exc).__name__}: {exc}"
        raise PoolStartError(f"a worker process could not be started: {why}") from exc

    @staticmethod
    def _close_result_writer(executor: Any) -> None:
        """Closes the host's copy of the result pipe's write end.

        While the host holds it, the death of a worker in the middle of a result never becomes an end of
        file, and the executor waits for the rest for ever.
        """
        writer = getattr(getattr(executor, "_result_queue", None), "_writer", None)
        if isinstance(writer, Connection):
            writer.close()
        if writer is None or not getattr(writer, "closed", False):
            _log.warning(
                "this Python's ProcessPoolExecutor is built differently from what asyncmr knows: a worker "
                "killed while it sends a result may hang its job; please report the Python version %s",
                sys.version.split()[0],
            )


def _preload(names: Sequence[str]) -> None:
    """Adds to what the forkserver imports once for all workers; keeps what the application asked for."""
    server = getattr(forkserver, "_forkserver", None)
    wanted = list(getattr(server, "_preload_modules", ["__main__"]))
    missing = [name for name in (*PRELOAD, *names) if name not in wanted]
    if missing:
        multiprocessing.set_forkserver_preload([*wanted, *missing])
