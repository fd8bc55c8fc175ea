"""The questions: the most frequent keys, the value of a key, the windows, how the stream is doing."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from asyncmr.kernel.results import plain
from asyncmr.streaming.http.encoding import Json, ranked, statistics, window
from asyncmr.streaming.http.limits import Limits
from asyncmr.streaming.view import View

_KEPT = 64


class Answers:
    """Asks a stream. The same question within an epoch is asked once, however many want to know."""

    def __init__(self, view: View, limits: Limits) -> None:
        self._view = view
        self._limits = limits
        self._asked: OrderedDict[tuple[int, float | None], tuple[int, asyncio.Task[Any]]] = OrderedDict()

    async def top(self, request: Request) -> Json:
        """GET /v1/top?k=&window="""
        k, start = self.of_query(request)
        epoch, top = await self.ranking(k, start)
        return Json({"top": top, "k": k, "window": start, "epoch": epoch})

    async def count(self, request: Request) -> Json:
        """GET /v1/count/{word}, or /v1/count?key= for one that a browser takes for a path, as `..`"""
        word = request.path_params.get("word", request.query_params.get("key"))
        if word is None:
            raise HTTPException(400, "say which key, as in /v1/count/word or /v1/count?key=word")
        start = _window(request)
        value = await self._view.get(word, start)
        return Json({"key": word, "count": 0 if value is None else plain(value), "window": start})

    async def windows(self, _request: Request) -> Json:
        """GET /v1/windows"""
        return Json({"windows": [window(info) for info in await self._view.windows()]})

    async def stats(self, _request: Request) -> Json:
        """GET /v1/stats"""
        return Json(statistics(self._view.stats()))

    def of_query(self, request: Request) -> tuple[int, float | None]:
        """`k` and the start of the window that a request asks for."""
        text = request.query_params.get("k", "20")
        if not (
            text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= self._limits.most
        ):
            raise HTTPException(400, f"k is a number from 1 to {self._limits.most:,}, as in /v1/top?k=20")
        return int(text), _window(request)

    async def ranking(self, k: int, start: float | None) -> tuple[int, list[dict[str, Any]]]:
        """The epoch, and the rows of the `k` largest."""
        epoch = self._view.stats().epoch
        known = self._asked.get((k, start))
        if known is None or known[0] != epoch:
            asking = asyncio.ensure_future(self._rows(k, start))
            asking.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # perhaps all have gone
            known = epoch, asking
            self._asked[k, start] = known
            self._asked.move_to_end((k, start))
            while len(self._asked) > _KEPT:
                self._asked.popitem(last=False)
        # A client that goes away does not take the answer from the others.
        try:
            return epoch, await asyncio.shield(known[1])
        except Exception:
            self._asked.pop((k, start), None)
            raise

    async def _rows(self, k: int, start: float | None) -> list[dict[str, Any]]:
        return ranked(await self._view.top(k, start))

    async def close(self) -> None:
        """Ends what is still being asked."""
        tasks = [task for _, task in self._asked.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._asked.clear()


def _window(request: Request) -> float | None:
    text = request.query_params.get("window")
    if text is None or text == "":
        return None
    try:
        start = float(text)
    except ValueError:
        start = math.nan
    if not math.isfinite(start):
        raise HTTPException(400, "window is the start of a window, in seconds, as /v1/windows lists them")
    return start
