"""A body is what was sent, however the network cut it."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from asyncmr.streaming.http import Limits, PushFeed
from asyncmr.streaming.http.bodies import Body

lines = st.lists(st.binary(max_size=300).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=20)
cuts = st.lists(st.integers(1, 200), min_size=1, max_size=8)


def read(sent: bytes, cuts: list[int], limits: Limits, **headers: str) -> tuple[bytes, int]:
    """What a body came to, and the room that was left reserved behind it."""
    messages: list[dict] = []
    while sent:
        size = cuts[len(messages) % len(cuts)]
        messages.append({"type": "http.request", "body": sent[:size], "more_body": True})
        sent = sent[size:]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    waiting = iter(messages)

    async def receive():
        return next(waiting)

    async def reads():
        scope = {
            "type": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        feed = PushFeed()
        try:
            with Body(Request(scope, receive), feed, limits) as body:
                return await body.read(), feed.held
        finally:
            assert feed.held == 0

    return asyncio.run(reads())


@given(lines, cuts)
def test_any_cut_gives_the_same_lines(lines, cuts):
    data = b"".join(lines)
    assert read(data, cuts, Limits()) == (data, len(data))


@given(lines, cuts, st.integers(0, 20))
def test_any_cut_of_any_members_gives_what_was_compressed(lines, cuts, members):
    parts = [b"".join(lines[:members]), b"".join(lines[members:])]
    sent = b"".join(gzip.compress(part) for part in parts)
    data = b"".join(parts)
    assert read(sent, cuts, Limits(), **{"content-encoding": "gzip"}) == (data, len(data))


@given(lines, cuts, st.data())
def test_no_cut_of_a_body_that_is_not_whole_is_taken_for_one(lines, cuts, data):
    sent = gzip.compress(b"".join(lines))
    short = sent[: data.draw(st.integers(1, len(sent) - 1))]
    with pytest.raises(HTTPException) as refused:
        read(short, cuts, Limits(), **{"content-encoding": "gzip"})
    assert refused.value.status_code == 400


@given(cuts, st.integers(101, 300))
def test_no_cut_gets_more_through_than_may_be(cuts, size):
    with pytest.raises(HTTPException) as refused:
        read(bytes(size), cuts, Limits(body_bytes=100))
    assert refused.value.status_code == 413
