"""Notices a script that starts its pool while a worker process imports it.

Every worker imports the script of the host as `__mp_main__`. A script without a main guard would start its
job there again, and its workers again, without end. The worker that sees this leaves at once with an exit
code of its own, silently, and the host turns that code into MainGuardError.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver

GUARD_EXIT = 113

ADVICE = (
    "the script starts its job at import time, and every worker process imports the script; put the lines "
    'that start the job under  if __name__ == "__main__":'
)


def leave_if_imported_by_worker() -> None:
    """Ends this process if it is a worker, or the forkserver, that still imports the main script."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(GUARD_EXIT)


def forkserver_left() -> bool:
    """Whether the forkserver itself imported the script and left (Pythons that preload `__main__` do)."""
    server = getattr(forkserver, "_forkserver", None)
    pid = getattr(server, "_forkserver_pid", None)
    if pid is None or not hasattr(os, "waitid"):
        return False
    try:
        # WNOWAIT: multiprocessing reaps its forkserver itself and fails if somebody else did.
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return ended is not None and ended.si_status == GUARD_EXIT
