"""The forkserver: the process of multiprocessing that imports once what all workers need, and forks them.

It takes longer to start than all else that a first job waits for, so it is started as early as possible, and
whoever starts it goes on with imports of its own meanwhile. It stays until the interpreter ends.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker

from asyncmr.workers.guard import leave_if_imported_by_worker

# With what nearly every script that starts a job imports as well: shared by all workers, and imported once.
PRELOAD = ("cloudpickle", "asyncio", "asyncmr.workers.entry")


def launch(preload: Sequence[str] = ()) -> None:
    """Starts the forkserver, unless it runs; returns before it is up. It imports `preload` first.

    In a worker that still imports the main script this ends the process, as entering a pool would.
    """
    leave_if_imported_by_worker()
    add_preload(preload)
    # The mask is inherited: Ctrl-C, which the host alone answers, would interrupt it and its workers while they import.
    # Its helper comes first, since starting that one unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def add_preload(names: Sequence[str]) -> None:
    """Adds to what the forkserver imports when it starts; keeps what the application asked for."""
    server = getattr(forkserver, "_forkserver", None)
    wanted = list(getattr(server, "_preload_modules", ["__main__"]))
    missing = [name for name in (*PRELOAD, *names, "asyncmr.workers.preloaded") if name not in wanted]
    if missing:
        multiprocessing.set_forkserver_preload([*wanted, *missing])
