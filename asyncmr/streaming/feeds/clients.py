"""Who is connected to a listening socket, and the whole lines that they send.

Nothing here waits. All sockets are in one selector of our own, whose descriptor the event loop watches: who does not
ask for lines stops the reading of a thousand connections by not looking at that one, and the kernel then stops the
clients. What is held are the lines that have no end yet, of all clients together at most `held_limit` bytes.

Sockets are read in blocks, each client once a round: one that sends without pause is read as often as one that sends a
line a second.
"""

from __future__ import annotations

import hmac
import logging
import selectors
import socket
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import NamedTuple

_log = logging.getLogger("asyncmr")

_READ_BYTES = 256 << 10
# What a round does at most before the loop may do something else: about a millisecond.
_READS = 64


# Seconds until accepting is tried again, unless a connection is closed before.
_ACCEPT_AGAIN = 1.0


class Limits(NamedTuple):
    """`connections`: at once; one more is closed at once. `idle`: seconds without a byte. `line`, `held`: bytes."""

    connections: int
    idle: float
    line: int
    held: int


@dataclass(slots=True, eq=False)
class _Client:
    socket: socket.socket
    last: float
    known: bool
    parts: list[bytes] = field(default_factory=list)
    held: int = 0
    open: bool = True


class Clients:
    """The clients of `listener`, which is closed with them.

    `token`: what the first line of each client has to be, if anything. `refused`: connections closed for a limit or
    for want of the token, or that broke within a line.
    """

    def __init__(self, name: str, listener: socket.socket, limits: Limits, token: bytes | None) -> None:
        self.refused = 0
        self._name = name
        self._listener = listener
        self._limits = limits
        self._token = token
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, None)
        self._accepts = True
        self._again = 0.0  # when to accept again
        self._clients = OrderedDict[_Client, None]()  # the one that has been silent for longest first
        self._ready: deque[_Client] = deque()
        self._held = 0
        self._scratch = memoryview(bytearray(_READ_BYTES))
        self._told: set[str] = set()

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def held(self) -> int:
        """The bytes of lines that have no end yet."""
        return self._held

    @property
    def accepts(self) -> bool:
        """Whether new connections are looked for: not for a second after one could not be taken."""
        return self._accepts

    def fileno(self) -> int:
        """The descriptor that is readable when there is something to read."""
        return self._selector.fileno()

    def read(self, most: int, now: float) -> tuple[bytes, bool]:
        """Whole lines, about `most` bytes at most, and whether there may be more already."""
        if not self._ready:
            self._look(now)
        lines: list[bytes] = []
        size = reads = 0
        while self._ready and size < most and reads < _READS:
            client = self._ready.popleft()
            reads += 1
            if client.open and (data := self._read(client, min(_READ_BYTES, most - size), now)):
                lines.append(data)
                size += len(data)
        return b"".join(lines), bool(reads)

    def close_idle(self, now: float) -> None:
        """Closes those that have sent nothing for too long. Only after a `read` that found nothing more."""
        while self._clients:
            client = next(iter(self._clients))
            if now - client.last < self._limits.idle:
                break
            self._refuse(client, "idle", f"sent nothing for {self._limits.idle:g} seconds")
        if now >= self._again:
            self._accept_again()

    def close(self) -> None:
        """Closes all of them, and the listening socket."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.close()
        self._listener.close()

    def _look(self, now: float) -> None:
        for key, _ in self._selector.select(0):
            if key.data is None:
                self._accept(now)
            else:
                self._ready.append(key.data)

    def _accept(self, now: float) -> None:
        for _ in range(_READS):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                # Too many open files, say. The listener would stay readable, and the loop would spin.
                self._accepts, self._again = False, now + _ACCEPT_AGAIN
                self._selector.unregister(self._listener)
                self._tell("accept", f"could not take a connection: {error.strerror}; the next ones wait")
                return
            if len(self._clients) >= self._limits.connections:
                connection.close()
                self.refused += 1
                self._tell("full", f"closed a connection at once: {len(self._clients):,} are open, the limit")
                continue
            connection.setblocking(False)
            client = _Client(connection, now, known=self._token is None)
            self._clients[client] = None
            self._selector.register(connection, selectors.EVENT_READ, client)

    def _accept_again(self) -> None:
        if not self._accepts:
            self._accepts = True
            self._selector.register(self._listener, selectors.EVENT_READ, None)

    def _read(self, client: _Client, most: int, now: float) -> bytes:
        """One block of what a client has sent, as far as its lines are whole."""
        try:
            got = client.socket.recv_into(self._scratch[:most])
        except BlockingIOError:
            return b""
        except OSError as error:
            if client.held:
                self._refuse(client, "broken", f"broke off within a line: {error.strerror}")
            else:
                self._drop(client)
            return b""
        if not got:
            return self._ended(client)
        client.last = now
        self._clients.move_to_end(client)
        block = bytes(self._scratch[:got])
        end = block.rfind(b"\n") + 1
        data = b""
        if end:
            data = b"".join([*client.parts, block[:end]])
            self._hold(client, block[end:])
            if not client.known:
                data = self._admitted(client, data)
        elif not client.known and client.held + got > len(self._token or b"") + 2:
            self._refuse(client, "token", "did not begin with the token")
        else:
            self._hold(client, block, more=True)
        return data

    def _hold(self, client: _Client, rest: bytes, more: bool = False) -> None:
        """Keeps a line that has no end yet, in its place or (`more`) behind what there is of it."""
        if not more:
            self._held -= client.held
            client.parts, client.held = [], 0
        if rest:
            client.parts.append(rest)
            client.held += len(rest)
            self._held += len(rest)
            if len(client.parts) > _READS:  # a byte at a time, perhaps
                client.parts = [b"".join(client.parts)]
        if client.held > self._limits.line:
            self._refuse(client, "line", f"sent a line of more than {self._limits.line:,} bytes")
        elif self._held > self._limits.held:
            longest = max(self._clients, key=lambda other: other.held)
            self._refuse(longest, "held", "sent the longest of too many lines that have no end yet")

    def _ended(self, client: _Client) -> bytes:
        """What is left when a client says that it has sent everything: a last line may lack its end."""
        rest = b"".join(client.parts)
        if rest and not client.known:
            self._refuse(client, "token", "did not begin with the token")
            return b""
        self._drop(client)
        return rest + b"\n" if rest else b""

    def _admitted(self, client: _Client, data: bytes) -> bytes:
        """What follows the line with the token."""
        first, _, rest = data.partition(b"\n")
        if hmac.compare_digest(first.removesuffix(b"\r"), self._token or b""):
            client.known = True
            return rest
        self._refuse(client, "token", "did not begin with the token")
        return b""

    def _refuse(self, client: _Client, kind: str, why: str) -> None:
        self.refused += 1
        self._drop(client)
        self._tell(kind, f"closed a connection that {why}")

    def _tell(self, kind: str, what: str) -> None:
        """Warns once of each kind: who provokes it could fill the disk otherwise. All are counted."""
        level = logging.DEBUG if kind in self._told else logging.WARNING
        self._told.add(kind)
        _log.log(level, "%s: %s", self._name, what)

    def _drop(self, client: _Client) -> None:
        if client.open:
            client.open = False
            self._held -= client.held
            client.parts, client.held = [], 0
            del self._clients[client]
            self._selector.unregister(client.socket)
            client.socket.close()
            self._accept_again()
