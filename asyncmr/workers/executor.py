"""WorkerExecutor: one worker process behind a socket that the event loop itself reads and writes.

A ProcessPoolExecutor moves a call through a queue and two threads, and its answer through a third and back to the
loop: 0.2 ms, and a small job is one such call. Here the loop writes the call and is woken by the answer: 0.03 ms.
A function that it calls returns `(state, head, data)`, a string, bytes, and a list of bytes, so that nothing a
user's code made is unpickled in the host; buffers among the arguments (`pickle.PickleBuffer`) and the bytes of an
answer are never copied into a message.
"""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from socket import socket
from typing import Any

from asyncmr.workers.wire import Inbox, Message, Part, framed, send
from asyncmr.workers.worker import Answer


class WorkerExecutor(Executor):
    """Calls functions in the process at the other end of `channel`, in order, one at a time.

    Its methods are for the thread of `loop`, whose turns they never hold up: a call or an answer of any size is
    sent and received in pieces. `call` gives a future of asyncio; `submit` makes it an executor like others.
    """

    def __init__(self, channel: socket, loop: asyncio.AbstractEventLoop) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._loop = loop
        self._inbox = Inbox(channel)
        self._calls: deque[Future[Answer] | asyncio.Future[Answer]] = deque()
        self._unsent: list[Part] = []
        self._listening = False
        self._sending = False
        self._broken = False

    def submit(  # type: ignore[override]  # what it calls answers in bytes
        self, fn: Callable[..., Answer], /, *args: Any, **kwargs: Any
    ) -> Future[Answer]:
        """Calls `fn(*args, **kwargs)`, which the process must be able to import.

        Raises:
            BrokenExecutor: the process is gone.
        """
        future: Future[Answer] = Future()
        future.set_running_or_notify_cancel()  # what has been sent cannot be taken back
        self._begin(future, (fn, args, kwargs))
        return future

    def call(self, fn: Callable[..., Answer], /, *args: Any) -> asyncio.Future[Answer]:
        """As `submit`; to cancel the future is to ignore the answer."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._begin(future, (fn, args, {}))
        return future

    def _begin(self, future: Future[Answer] | asyncio.Future[Answer], call: object) -> None:
        if self._broken:
            raise BrokenExecutor("the worker process is gone")
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(call, 5, buffer_callback=buffers.append)
        self._calls.append(future)
        if not self._listening:
            self._loop.add_reader(self._channel.fileno(), self._receive)
            self._listening = True
        waiting = bool(self._unsent)
        self._unsent += framed([head, *(buffer.raw() for buffer in buffers)])
        if not waiting:
            self._send()

    def disconnect(self) -> None:
        """Takes the answers that a process which has died still sent, and gives all other calls up."""
        while self._calls and not self._broken:
            try:
                self._take()
            except BlockingIOError:
                break
        self._break()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As `disconnect`; the process, if it lives, takes it as its leave. Who wants to wait waits for that."""
        self.disconnect()

    def _send(self) -> None:
        """Sends what the socket takes; the rest in a later turn of the loop, when it takes more."""
        try:
            self._unsent = send(self._channel, self._unsent)
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = []  # not broken yet: what it answered before it died is still to be read
        if bool(self._unsent) != self._sending:
            self._sending = not self._sending
            if self._sending:
                self._loop.add_writer(self._channel.fileno(), self._send)
            else:
                self._loop.remove_writer(self._channel.fileno())

    def _receive(self) -> None:
        with suppress(BlockingIOError):
            self._take()

    def _take(self) -> None:
        try:
            messages = self._inbox.receive()
        except BlockingIOError:
            raise
        except OSError:
            messages = None
        except MemoryError as exc:
            self._break(exc)
            return
        if messages is None:
            self._break()
            return
        for message in messages:
            future = self._calls.popleft()
            if not future.done():
                future.set_result(_answer(message))

    def _break(self, exc: BaseException | None = None) -> None:
        if self._broken:
            return
        self._broken = True
        if self._listening:
            self._loop.remove_reader(self._channel.fileno())
        if self._sending:
            self._loop.remove_writer(self._channel.fileno())
        self._channel.close()
        self._unsent = []
        while self._calls:
            future = self._calls.popleft()
            if not future.done():
                future.set_exception(exc or BrokenExecutor("the worker process is gone"))


def _answer(message: Message) -> Answer:
    state, head, *data = message
    return bytes(state).decode(), bytes(head), data
