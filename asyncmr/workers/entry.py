"""What runs in a worker process: how it starts, and how it answers the calls of the host.

Each worker leads a process group of its own, so that the host can kill it together with its children. The
kernel does the same when the host dies: it sends SIGIO, whose default is to terminate, to the whole group
as soon as the pipe that only the host holds open is closed; that works while C code holds the GIL, where a
watching thread would wait.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import sys
from contextlib import suppress
from multiprocessing import parent_process
from socket import socket
from time import monotonic
from typing import Any

from asyncmr.workers.attach import Attachments, SegmentRef
from asyncmr.workers.forwarding import forward
from asyncmr.workers.memory import give_back
from asyncmr.workers.redirection import redirect
from asyncmr.workers.wire import Inbox, Message, framed, send
from asyncmr.workers.worker import Answer, Worker

# A worker that had a task of this many seconds, and has rested for that many, gives back what memory it has free.
LONG_TASK, REST = 0.005, 0.1

MAPS, MAPS_NOT = b"maps segments", b"maps no segments"

_worker: Worker | None = None


def serve(
    channel: socket, log: socket | None, niceness: int, probe: SegmentRef | None, content: bytes
) -> None:
    """A worker process from its beginning to its end: greets the host, then answers its calls."""
    _start(niceness, heard=log is not None)
    if log is not None:
        forward(log)
    _reply(channel, [MAPS if _maps(probe, content) else MAPS_NOT])
    answer(channel)


def answer(channel: socket) -> None:
    """Answers calls until the host hangs up."""
    inbox = Inbox(channel)
    with suppress(ConnectionError):  # it hung up while something was on its way
        while (messages := inbox.receive()) is not None:
            began = monotonic()
            while messages:
                _reply(channel, _answered(messages.pop(0)))  # nothing of them is held any longer than needed
            if monotonic() - began > LONG_TASK and not select.select([channel], [], [], REST)[0]:
                give_back()


def _answered(message: Message) -> Message:
    call, *buffers = message
    function, arguments, named = pickle.loads(call, buffers=buffers)
    state, head, data = function(*arguments, **named)
    return [state.encode(), head, *data]


def call(operation: str, *arguments: Any) -> Answer:
    """What the host calls: a method of the worker."""
    answer: Answer = getattr(_worker, operation)(*arguments)
    return answer


def _start(niceness: int, *, heard: bool) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the host, and the host decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(OSError):
        os.setpgid(0, 0)
    _die_with_host()
    redirect(heard=heard)
    with suppress(OSError):
        os.nice(niceness)  # the loop of the host goes first
    _worker = Worker(own_process=True)
    gc.freeze()  # without a collection, which would visit the main script's objects and all that they hold


def _maps(probe: SegmentRef | None, content: bytes) -> bool:
    """Whether this process can map the host's segments."""
    if probe is None:
        return False
    try:
        return bytes(Attachments().view(probe)) == content
    except (OSError, ValueError):
        return False


def _reply(channel: socket, parts: Message) -> None:
    left = framed(parts)
    while left:
        left = send(channel, left)


def _die_with_host() -> None:
    parent = parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel
    if sys.platform == "linux":
        import fcntl

        signal.signal(signal.SIGIO, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGIO})
        fcntl.fcntl(sentinel, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(sentinel, fcntl.F_SETFL, fcntl.fcntl(sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    else:
        import threading

        threading.Thread(target=_watch, args=(sentinel,), name="asyncmr-watch", daemon=True).start()
    if select.select([sentinel], [], [], 0)[0]:  # the host died before the signal was set up
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _watch(sentinel: int) -> None:
    select.select([sentinel], [], [])
    os.killpg(os.getpgrp(), signal.SIGKILL)
