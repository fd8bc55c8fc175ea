"""The HTTP protocol of a connection, with the limits that uvicorn leaves to a proxy in front of it.

A connection may take so long to send a request's head, counted from when it is opened or the last answer was complete.
One that does not read what it was sent is cut off. When too many are open, the one that has been waiting longest
without a request makes room, or else the one that has been sending its body longest; a new one is refused only when all
are being answered.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from asyncmr.streaming.http.limits import Limits


@dataclass(eq=False, slots=True)
class Lobby:
    """The connections of a server.

    `refused`: how many found no room; `evicted`: idle ones that made room; `timed_out`: those too slow to ask.
    `waiting`: connections without a request, `sending`: those whose body is on its way, longest first. `empty`:
    there are no connections at all.
    """

    limits: Limits
    refused: int = 0
    evicted: int = 0
    timed_out: int = 0
    waiting: dict[Connection, None] = field(default_factory=dict)
    sending: dict[Connection, None] = field(default_factory=dict)
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def dismiss_senders(self) -> None:
        """Tells those whose body is on its way that nothing of it is taken."""
        for connection in list(self.sending):
            connection.cut(_ENDING)


def _answer(status: str, message: str) -> bytes:
    body = f'{{"error":"{message}"}}\n'
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Retry-After: 1\r\nConnection: close\r\n\r\n{body}"
    ).encode("ascii")


_FULL = _answer("503 Service Unavailable", "too many connections are open; try again in a moment")
_ENDING = _answer(
    "503 Service Unavailable", "the stream is ending, and took nothing of this; send it again when it is back"
)
_LATE = _answer("408 Request Timeout", "the request came too slowly")


class Connection(H11Protocol):
    """One connection of a server. Given to uvicorn's `Config` as `http`, through `functools.partial`."""

    def __init__(
        self, lobby: Lobby, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._lobby = lobby
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._lobby.empty.clear()
        lobby = self._lobby
        if len(self.connections) > lobby.limits.connections:
            longest = next(iter(lobby.waiting or lobby.sending), None)
            if longest is None:
                lobby.refused += 1
                self.cut(_FULL)
                return
            lobby.evicted += 1
            longest.cut(_FULL)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._lobby.sending.pop(self, None)
        self._stop_write_timer()
        super().connection_lost(exc)
        if not self.connections:
            self._lobby.empty.set()

    def handle_events(self) -> None:
        super().handle_events()
        if self._is_answering():
            self._stop_waiting()
            if self.cycle.more_body and not self.cycle.response_started:
                self._lobby.sending.setdefault(self)
                return
        self._lobby.sending.pop(self, None)

    def on_response_complete(self) -> None:
        if not self.transport.is_closing():
            self._wait_for_head()
        elif self._write_timer is None:  # what is left to send may never be read
            self._start_write_timer()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._start_write_timer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_write_timer()

    def send_400_response(self, msg: str) -> None:
        del msg
        # h11 has given up on the connection, perhaps in the middle of an answer.
        begun = self._is_answering() and self.cycle.response_started
        self._stop_waiting()
        if not begun:
            self.transport.write(_answer("400 Bad Request", "this is not HTTP, or its headers are too long"))
        self.transport.close()
        self._start_write_timer()

    def abort(self) -> None:
        """Closes at once, whatever is still to be sent."""
        if self.transport is not None:
            self.transport.abort()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._lobby.waiting[self] = None
        self._head_timer = self.loop.call_later(self._lobby.limits.header_seconds, self._head_is_late)

    def _stop_waiting(self) -> None:
        self._lobby.waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._lobby.timed_out += 1
        # Told only to one that has begun a request: another takes it for the answer to what it sends next.
        self.cut(_LATE if self.conn.trailing_data[0] else b"")

    def cut(self, message: bytes) -> None:
        """Closes as soon as `message` is sent, which is the answer if there was none yet."""
        self._stop_waiting()
        self._lobby.sending.pop(self, None)
        unanswered = self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        if message and unanswered:
            self.transport.write(message)
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._start_write_timer()

    def _start_write_timer(self) -> None:
        self._stop_write_timer()
        self._write_timer = self.loop.call_later(self._lobby.limits.write_seconds, self.abort)

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
