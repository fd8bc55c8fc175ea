"""How fast a stream was in the last minutes, for those who look only now."""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.requests import Request

from asyncmr.errors import ClosedError
from asyncmr.streaming.http.encoding import Json
from asyncmr.streaming.view import View

_SECONDS = 300


class History:
    """The rate of each of the last 300 seconds. `run` does the work, in a task of the owner's."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._rates: deque[tuple[float, float]] = deque(maxlen=_SECONDS)

    async def run(self) -> None:
        """Takes note of the rate, until the stream ends."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._rates.append((loop.time(), self._view.stats().pairs_per_second))
            except ClosedError:
                return
            await asyncio.sleep(1.0)

    async def __call__(self, _request: Request) -> Json:
        """GET /v1/history"""
        return Json({"pairs_per_second": self.told()})

    def told(self) -> list[list[float]]:
        """Pairs of how many seconds ago and how many pairs a second, oldest first."""
        now = asyncio.get_running_loop().time()
        return [[round(now - time, 1), round(rate, 1)] for time, rate in self._rates]
