"""The body of a request, bounded in bytes, in time, and in what gzip may make of it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from asyncmr.streaming.http.limits import Limits
from asyncmr.streaming.http.push_feed import PushFeed

# Of a compressed body made at a time: about a millisecond on the loop.
_SLICE = 256 << 10


class Body:
    """Reads a request's lines into room reserved in a feed. The room is given back when its block is left."""

    def __init__(self, request: Request, feed: PushFeed, limits: Limits) -> None:
        self._request = request
        self._feed = feed
        self._limits = limits
        self._sent = 0
        self._parts: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Gives the room back."""
        self._feed.release(self._size)
        self._size = 0

    async def read(self) -> bytes:
        """The lines, decompressed.

        Raises:
            HTTPException: 400, 408, 413 or 415, with what is wrong.
            PushFull: the feed has no room for them.
        """
        coding = self._request.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip", "x-gzip"):
            raise HTTPException(
                415, "this Content-Encoding is not read here; send gzip, or the lines as they are"
            )
        if self._announced() > self._limits.body_bytes:
            raise self._too_large()
        async for piece in self._pieces() if coding == "identity" else self._gunzipped():
            if self._size + len(piece) > self._limits.text_bytes:
                raise self._too_large()
            self._feed.reserve(len(piece))
            self._size += len(piece)
            self._parts.append(piece)
        return b"".join(self._parts)

    def _announced(self) -> int:
        length = self._request.headers.get("content-length", "0")
        return int(length) if length.isdecimal() else 0

    async def _pieces(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.body_seconds
        pieces = self._request.stream()
        while True:
            try:
                async with asyncio.timeout_at(min(end, loop.time() + self._limits.piece_seconds)):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise HTTPException(
                    408, "the body of the request came too slowly; nothing was taken", {"Connection": "close"}
                ) from None
            except ClientDisconnect:
                raise HTTPException(400, "the client went away") from None
            if piece is None:
                return
            self._sent += len(piece)
            if self._sent > self._limits.body_bytes:
                raise self._too_large()
            yield piece

    async def _gunzipped(self) -> AsyncIterator[bytes]:
        made, unpacker = 0, _gunzip()
        async for piece in self._pieces():
            while piece:
                if unpacker.eof:  # a gzip file may be several, one behind the other
                    unpacker = _gunzip()
                try:
                    text = unpacker.decompress(piece, _SLICE)
                except zlib.error:
                    raise HTTPException(400, "the body is not what gzip writes; nothing was taken") from None
                made += len(text)
                if made > max(self._sent * self._limits.gzip_ratio, 1 << 16):
                    raise HTTPException(
                        413,
                        f"the body grows to more than {self._limits.gzip_ratio} times its size; send it as it is",
                    )
                piece = unpacker.unconsumed_tail or unpacker.unused_data
                if text:
                    yield text
                    await asyncio.sleep(0)  # a millisecond for this body, then the others
        if self._sent and not unpacker.eof:
            raise HTTPException(400, "the gzip body is cut short; nothing was taken")

    def _too_large(self) -> HTTPException:
        return HTTPException(
            413,
            f"a request may bring {self._limits.text_bytes:,} bytes of lines, in a body of "
            f"{self._limits.body_bytes:,}; send them in several requests",
        )


def _gunzip() -> zlib._Decompress:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
