"""What an engine starts before it imports what it is made of: the forkserver, whose start takes as long as that."""

from __future__ import annotations

from asyncio import get_running_loop

from asyncmr.workers.forkserver import launch

# Imported once for all workers; a script that starts a job imports `asyncmr.api` in each of them.
PRELOAD = ("asyncmr.kernel.program", "asyncmr.api")


def start_early() -> None:
    """Starts the forkserver if this is called on a loop: an engine made there is about to be used.

    One made elsewhere may be a module's, imported by a server that forks before it runs.
    """
    try:
        get_running_loop()
    except RuntimeError:
        return
    launch(PRELOAD)
