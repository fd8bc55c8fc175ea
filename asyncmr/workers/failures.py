"""How a session can fail. The pipeline translates these: a user never sees one of them raw."""

from __future__ import annotations

import signal
from typing import Any

from asyncmr.errors import AsyncMRError, WorkerError

_KILLED = {
    None: ", often the out-of-memory killer",
    True: " by the kernel, because its memory cgroup or the machine was out of memory; lower memory= or workers=, "
    "or let the functions hold less at a time",
    False: " by somebody; the kernel had memory left",
}

UNKNOWN_EXIT = 255  # what multiprocessing reports when the forkserver itself was killed


class RemoteError(AsyncMRError):
    """The program raised inside a worker; the worker itself is well.

    Only text crosses from the worker, so that no exception of a user is ever unpickled in the host.
    `type_name`: the exception's class, with its module unless a builtin. `message`: its `str()`, at most
    2,000 characters. `traceback_text`: at most 20,000. `facts`: the exception's own `facts` attribute
    where that is a dict of builtins, else None.
    """

    def __init__(
        self, type_name: str, message: str, traceback_text: str, facts: dict[str, Any] | None = None
    ) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text
        self.facts = facts


class SlotDied(WorkerError):
    """The worker died during a session. `exitcode` is None where nobody knows it."""

    def __init__(self, exitcode: int | None, cause: str | None = None) -> None:
        self.exitcode = exitcode
        self.cause = cause or likely_cause(exitcode)
        super().__init__(f"the worker died: {self.cause}")


class SlotTimeout(WorkerError):
    """The session used up its worker time of `seconds`, or its preparation did; the worker was killed."""

    def __init__(self, seconds: float, *, preparing: bool = False) -> None:
        super().__init__(f"the session used more than {seconds:g} s of worker time")
        self.seconds = seconds
        self.preparing = preparing


def likely_cause(exitcode: int | None, out_of_memory: bool | None = None) -> str:
    """Why a worker with this exit code probably died, in words.

    `out_of_memory`: whether the kernel says that it killed for want of memory; None if it says nothing.
    """
    if exitcode is None or exitcode == UNKNOWN_EXIT:
        return "its exit code is unknown"
    if exitcode == 1:
        return "it left with exit code 1, through os._exit(1) or an error that standard error shows"
    if exitcode >= 0:
        return f"it left through os._exit({exitcode}) or a C library's exit"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    hints = {
        signal.SIGKILL: _KILLED[out_of_memory],
        signal.SIGSEGV: ", a segmentation fault in C code",
        signal.SIGBUS: ", a bus error: shared memory or a mapped file was cut short",
        signal.SIGABRT: ", abort() in C code",
        signal.SIGTERM: ", somebody asked it to stop",
    }
    return f"killed by signal {-exitcode} ({name}){hints.get(-exitcode, '')}"  # type: ignore[call-overload]
