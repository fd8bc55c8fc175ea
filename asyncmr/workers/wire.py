"""How messages cross the socket between the host and a worker process.

A message is a list of byte strings. On the wire it is their count, their lengths, then the strings themselves. A
long one is received into its final place, and none is joined with others before it is sent: what crosses is
copied by the kernel alone.

A string of a mebibyte or more arrives as a mapping of its own, which goes back to the system as soon as nobody wants
it. From the heap such blocks, which come and go by the thousand, left ever more room between them: 40 MiB
in a job over 4 GB.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from socket import socket

Received = bytes | mmap
Message = list[Received]
Part = Received | memoryview

RECEIVE_BYTES = 256 * 1024  # what one turn of the loop takes: about what a socket holds
_FIRST_BYTES = 16 * 1024  # of a message; more would be a mapping of its own, made and given back each time
_MAPPED_BYTES = 1024 * 1024

_COUNT = struct.Struct("<I")
_MOST_PARTS = 512  # handed to one `sendmsg`; Linux refuses more than 1,024 (IOV_MAX)


def framed(parts: Sequence[Part]) -> list[Part]:
    """What is to be sent for a message."""
    lengths = [len(part) for part in parts]
    return [struct.pack(f"<I{len(lengths)}Q", len(lengths), *lengths), *parts]


def send(to: socket, parts: list[Part]) -> list[Part]:
    """Sends what the socket takes at once (a blocking one takes some); returns what is left to be sent.

    Raises:
        BlockingIOError: it takes nothing now.
        OSError: the other side is gone.
    """
    sent = to.sendmsg(parts[:_MOST_PARTS])
    for index, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[index + 1 :]]
        sent -= len(part)
    return []


class Inbox:
    """Cuts what a socket receives into messages."""

    def __init__(self, source: socket) -> None:
        self._source = source
        self._rest = b""
        self._lengths: tuple[int, ...] | None = None
        self._parts: Message = []
        self._long: BytesIO | mmap = BytesIO()
        self._room: memoryview | None = None  # what is still missing of `_long`

    def receive(self) -> list[Message] | None:
        """Takes what is there, once; the messages that are complete then. None: the other side is gone.

        Raises:
            BlockingIOError: nothing is there.
            OSError: the other side is gone.
        """
        if self._room is None:
            data = self._source.recv(_FIRST_BYTES)
            return self._cut(self._rest + data if self._rest else data) if data else None
        got = self._source.recv_into(self._room[:RECEIVE_BYTES])
        if not got:
            return None
        self._room = self._room[got:]
        return [] if self._room else self._cut(b"")

    def _cut(self, data: bytes) -> list[Message]:
        messages: list[Message] = []
        if self._room is not None:
            self._room = None
            self._parts.append(self._long if isinstance(self._long, mmap) else self._long.getvalue())
            self._long = BytesIO()
        at = 0
        while True:
            if self._lengths is None:
                if len(data) - at < _COUNT.size:
                    break
                (count,) = _COUNT.unpack_from(data, at)
                begin = at + _COUNT.size + 8 * count
                if len(data) < begin:
                    break
                self._lengths = struct.unpack_from(f"<{count}Q", data, at + _COUNT.size)
                at = begin
            for length in self._lengths[len(self._parts) :]:
                if len(data) - at < length:
                    self._begin_long(length, memoryview(data)[at:])
                    self._rest = b""
                    return messages
                self._parts.append(data[at : at + length])
                at += length
            messages.append(self._parts)
            self._lengths, self._parts = None, []
        self._rest = data[at:]
        return messages

    def _begin_long(self, length: int, beginning: memoryview) -> None:
        if length < _MAPPED_BYTES:
            # Written through its buffer, a BytesIO gives its bytes away without a copy.
            self._long = BytesIO(bytes(length))
            room = self._long.getbuffer()
        else:
            self._long = mmap(-1, length, MAP_PRIVATE | MAP_ANONYMOUS)
            room = memoryview(self._long)
        room[: len(beginning)] = beginning
        self._room = room[len(beginning) :]
