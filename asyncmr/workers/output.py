"""Output: what one worker process prints and logs, as its host hears it.

Two pipes carry the standard streams, a socket the log records. The loop reads them in blocks as they come, so that a
worker waits only while the loop itself does. What a worker printed before it answered a call is readable when
the answer is, so both are seen in one turn of the loop, and the text is heard before anybody learns of the
answer: that is how it is known which session it belongs to, at no cost for one that prints nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from multiprocessing import Pipe
from typing import NamedTuple

BLOCK = (
    64 * 1024
)  # what a pipe holds, and about what a turn of the loop can cut into lines in a fraction of a millisecond
RECORD = 192 * 1024  # no record is larger
RECORDS = 64  # taken in one turn
LAST_BLOCKS = 8  # read of each when the worker has ended: all that a pipe and a socket hold
EARLY_LINES = 1_000  # kept of what the main script prints while a worker imports it

# Message bounds are kept by both; only Linux has the first, which tells of its end as well.
_KIND = (
    getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM)
    if os.uname().sysname == "Linux"
    else socket.SOCK_DGRAM
)


class Said(NamedTuple):
    """What a worker said: `lines` of "stdout" or "stderr", without their ends, or packed records of "log".

    `about` is what its session, or the last that it had, is about; None before the first. `worker`: its process id.
    """

    about: object
    worker: int
    kind: str
    lines: list[bytes]


class LineCutter:
    """Cuts a stream into lines. Of a line that is drawn over and over, as a progress bar is, the last state counts."""

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, data: bytes) -> list[bytes]:
        """The lines that are complete now. One longer than a block comes in pieces."""
        *lines, rest = (self._rest + data).split(b"\n")
        if len(rest) > BLOCK:
            lines.append(rest)
            rest = b""
        self._rest = _drawn(rest)
        return [drawn for line in lines if (drawn := _drawn(line).rstrip(b"\r"))]

    def end(self) -> list[bytes]:
        """What came after the last line end."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        return [rest] if rest else []


def _drawn(line: bytes) -> bytes:
    # The last byte may be half of a line end.
    return line[line.rfind(b"\r", 0, -1) + 1 :]


class Output:
    """The host's ends of the pipes and the socket of one worker. Made in a thread, then the loop's."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            self._out, self.out = map(stack.enter_context, Pipe(duplex=False))
            self._err, self.err = map(stack.enter_context, Pipe(duplex=False))
            self._log, self.log = map(stack.enter_context, socket.socketpair(socket.AF_UNIX, _KIND))
            self.log.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECORD)  # macOS takes 2 KiB otherwise
            self._ends = stack.pop_all()
        self._cutters = {"stdout": LineCutter(), "stderr": LineCutter()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tell: Callable[[str, list[bytes]], None] = self._keep
        self._early: deque[tuple[str, list[bytes]]] = deque(maxlen=EARLY_LINES)
        self._open = {"stdout": self._out.fileno(), "stderr": self._err.fileno(), "log": self._log.fileno()}
        for fd in self._open.values():
            os.set_blocking(fd, False)

    def started(self) -> None:
        """The worker has its ends."""
        for end in (self.out, self.err, self.log):
            end.close()

    @property
    def streams(self) -> tuple[int, int]:
        """What is to be the worker's standard output and standard error."""
        return self.out.fileno(), self.err.fileno()

    def sources(self) -> list[int]:
        """The descriptors that become readable when there is something to `read`."""
        return list(self._open.values())

    def read(self) -> None:
        """Takes once what is there."""
        for kind in list(self._open):
            self._read(kind)

    def listen(self, loop: asyncio.AbstractEventLoop, tell: Callable[[str, list[bytes]], None]) -> None:
        """Tells what was read before, and from now on what comes, as (kind, lines)."""
        self._loop, self._tell = loop, tell
        while self._early:
            tell(*self._early.popleft())
        for kind, fd in self._open.items():
            loop.add_reader(fd, partial(self._read, kind))

    def finish(self) -> list[str]:
        """Takes what a worker that has ended still wrote, and closes all ends. What nobody was told of is returned."""
        if self._open:
            for _ in range(LAST_BLOCKS):
                self.read()
            for kind, cutter in self._cutters.items():
                if lines := cutter.end():
                    self._tell(kind, lines)
            for kind in list(self._open):
                self._end(kind)
        self._ends.close()
        early, self._early = self._early, deque()
        return [line.decode(errors="replace") for kind, lines in early if kind != "log" for line in lines]

    def _keep(self, kind: str, lines: list[bytes]) -> None:
        self._early.extend((kind, [line]) for line in lines)

    def _read(self, kind: str) -> None:
        with suppress(BlockingIOError):
            data = self._log.recv(RECORD) if kind == "log" else os.read(self._open[kind], BLOCK)
            if not data:  # every process that had the other end has closed it
                self._end(kind)
                return
            lines = [data, *self._records()] if kind == "log" else self._cutters[kind].cut(data)
            if lines:
                self._tell(kind, lines)

    def _records(self) -> Iterator[bytes]:
        """The records that have come with another."""
        with suppress(BlockingIOError):
            for _ in range(RECORDS):
                if data := self._log.recv(RECORD):
                    yield data

    def _end(self, kind: str) -> None:
        fd = self._open.pop(kind)
        if self._loop is not None:
            self._loop.remove_reader(fd)
