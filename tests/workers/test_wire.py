"""Messages cross a socket whole and in order, however their bytes are cut on the way."""

from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.workers.wire import Inbox, Message, framed, send

messages_of_bytes = st.lists(st.lists(st.binary(max_size=300), max_size=4), max_size=5)


class Cut:
    """A socket that gives what it received in pieces of the given sizes."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = data
        self._sizes = sizes

    def recv(self, most: int) -> bytes:
        size = min(most, self._sizes.pop() if self._sizes else most)
        piece, self._data = self._data[:size], self._data[size:]
        return piece

    def recv_into(self, view: memoryview) -> int:
        piece = self.recv(len(view))
        view[: len(piece)] = piece
        return len(piece)


@given(messages=messages_of_bytes, sizes=st.lists(st.integers(1, 40)))
@settings(deadline=None)
def test_any_messages_arrive_as_they_were_sent(messages, sizes):
    inbox = Inbox(Cut(b"".join(part for message in messages for part in framed(message)), sizes))  # type: ignore[arg-type]
    arrived = []
    while (some := inbox.receive()) is not None:
        arrived += some
    assert arrived == messages


@pytest.mark.parametrize(
    "parts", [[b"x" * (8 << 20)], [b"ab"] * 5000, [memoryview(b"view"), b"", b"z" * 70_000]]
)
def test_messages_of_any_size_and_number_of_parts_cross_a_real_socket(parts):
    ours, theirs = socket.socketpair()

    def send_all():
        left = framed(parts)
        while left:
            left = send(ours, left)

    with ours, theirs:
        sender = threading.Thread(target=send_all)
        sender.start()
        inbox = Inbox(theirs)
        arrived: list[Message] = []
        while not arrived:
            arrived = inbox.receive() or []
        sender.join()
    assert [[bytes(part) for part in message] for message in arrived] == [[bytes(part) for part in parts]]


def test_the_end_of_the_other_side_is_told_also_in_the_middle_of_a_message():
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            send(ours, [framed([b"x" * 1000])[0], b"x" * 10])
        inbox = Inbox(theirs)
        assert inbox.receive() == []
        assert inbox.receive() is None
