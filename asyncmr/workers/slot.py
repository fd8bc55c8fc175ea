"""ProcessSlot: one worker process, and the executor that calls it.

`start`, `stop` and `join` block and belong in a thread; the rest is for the event loop. A slot is used once:
after a death or a kill the pool makes another.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from multiprocessing.connection import wait
from socket import socket, socketpair
from time import monotonic
from typing import Any

from asyncmr.errors import MainGuardError, PoolStartError
from asyncmr.workers import entry
from asyncmr.workers.blocks import Probe
from asyncmr.workers.executor import WorkerExecutor
from asyncmr.workers.failures import likely_cause
from asyncmr.workers.forkserver import launch
from asyncmr.workers.guard import ADVICE, GUARD_EXIT, forkserver_left
from asyncmr.workers.output import Output
from asyncmr.workers.redirection import RedirectingName
from asyncmr.workers.wire import Inbox
from asyncmr.workers.worker import Answer

START_LIMIT = 120.0  # seconds: the script that a worker imports may load large libraries
WRITTEN_LIMIT = 4_000  # characters of what a worker wrote that did not come up
STOP_LIMIT = 0.2  # seconds for a worker to leave by itself before it is killed
NICENESS = 5


class ProcessSlot:
    """One worker process. `maps_segments`: whether it can, once it has started.

    `heard`: what it prints and logs comes to its `output`; otherwise to standard error.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        preload: Sequence[str] = (),
        probe: Probe | None = None,
        *,
        heard: bool = False,
    ) -> None:
        self._loop = loop
        self._preload = preload
        self._probe = probe
        self._executor: WorkerExecutor | None = None
        self._process: Any = None
        self._killed = False
        self._heard = heard
        self.maps_segments = False
        self.output: Output | None = None

    @property
    def sentinel(self) -> int | None:
        """A file descriptor that becomes readable when the process dies."""
        return None if self._process is None else self._process.sentinel

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts the process and waits until it answers: 20 to 60 ms, longer for the first.

        Raises:
            PoolStartError: the process did not come up.
            MainGuardError: it came up inside a script without a main guard.
        """
        launch(self._preload)
        probe = (None, b"") if self._probe is None else (self._probe.ref, self._probe.content)
        ours, theirs = socketpair()
        try:
            with theirs:
                name, log = "asyncmr-worker", None
                if self._heard:
                    self.output = Output()
                    name, log = RedirectingName(name, *self.output.streams), self.output.log
                context = multiprocessing.get_context("forkserver")
                process = context.Process(target=entry.serve, args=(theirs, log, NICENESS, *probe), name=name)
                process.start()
            if self.output is not None:
                self.output.started()
            self._process = process
            # Every start of a process polls all known ones, in its own thread; of two threads that poll a
            # dead process at once, one reads its exit code and the other overwrites it with 255.
            getattr(multiprocessing.process, "_children", set()).discard(process)
            if self._killed:
                self.kill()
            self.maps_segments = self._greeted(ours)
        except BaseException as exc:
            ours.close()
            self.kill()
            self._raise_start_error(exc, self.join())
        self._executor = WorkerExecutor(ours, self._loop)

    def call(self, operation: str, *arguments: Any) -> asyncio.Future[Answer]:
        """Calls a method of the worker.

        Raises:
            BrokenExecutor: the worker is dead.
        """
        if self._executor is None or self._killed:
            raise BrokenExecutor("the worker was stopped")
        return self._executor.call(entry.call, operation, *arguments)

    def disconnect(self) -> None:
        """Ends the conversation: calls that a dead worker has not answered fail, and a live one leaves."""
        if self._executor is not None:
            self._executor.disconnect()

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
        if self._process is None:
            return None
        self._process.join()
        self.kill()  # children that outlived it
        process, self._process = self._process, None
        code: int | None = process.exitcode
        process.close()
        return code

    def stop(self) -> None:
        """Lets an idle process, once disconnected, leave by itself for a moment, then kills it."""
        if self._process is not None and not self._killed:
            wait([self._process.sentinel], STOP_LIMIT)
        self.kill()
        self.join()

    def _greeted(self, channel: socket) -> bool:
        """Waits for the worker's first message: whether it can map the host's segments."""
        inbox = Inbox(channel)
        sentinel = self._process.sentinel
        until = monotonic() + START_LIMIT
        while ready := wait([channel, sentinel, *self._sources()], max(0.0, until - monotonic())):
            if self.output is not None:
                self.output.read()  # it would wait for ever with a full pipe
            if channel not in ready and sentinel not in ready:
                continue
            messages = inbox.receive() if channel in ready else None
            if messages is None:  # it hung up, or died; of a process that ends either may be seen first
                raise BrokenExecutor("it ended before it was up")
            if messages:
                return messages[0][0] == entry.MAPS
        raise TimeoutError(f"it said nothing for {START_LIMIT:g} s")

    def _sources(self) -> list[int]:
        return [] if self.output is None else self.output.sources()

    def _raise_start_error(self, exc: BaseException, code: int | None) -> None:
        written = [] if self.output is None else self.output.finish()
        if code == GUARD_EXIT or forkserver_left():
            raise MainGuardError(f"no worker process could be started: {ADVICE}") from exc
        if isinstance(exc, BrokenExecutor):
            why = f"it ended at once, {likely_cause(code)}"
            if written:
                why += "; it wrote:\n\n" + "\n".join(written)[-WRITTEN_LIMIT:]
        else:
            why = f"{type(exc).__name__}: {exc}"
        raise PoolStartError(f"a worker process could not be started: {why}") from exc
