"""Threads that are none: what is to run in them runs in the loop, a virtual while later."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from tests.simulation.faults import Faults


class SimulatedThreads(Executor):
    """A call happens in one moment, some time after it was handed over, and its outcome is known some time after that.

    Between the two the caller may be cancelled, as with a thread. `in_turn`: it is one thread, where a call begins when
    the one before has ended.
    """

    def __init__(self, name: str, faults: Faults, *, in_turn: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._faults = faults
        self._in_turn = in_turn
        self._line: deque[Callable[[], None]] = deque()
        self._under_way: dict[Future[Any], Callable[[], None]] = {}
        self._closed = False

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[Any] = Future()
        before, after = self._faults.delays(self._name)

        def begin() -> None:
            if self._line and self._line[0] is start:
                self._line.popleft()
                if self._line:
                    self._line[0]()
            if self._under_way.get(future) is not begin:
                return
            if not future.set_running_or_notify_cancel():
                del self._under_way[future]
                return
            settle = self._outcome(future, lambda: function(*args, **kwargs))

            def end() -> None:
                if self._under_way.pop(future, None):
                    settle()
                    self._faults.moment()

            self._under_way[future] = end
            self._loop.call_later(after, end)

        def start() -> None:
            self._loop.call_later(before, begin)

        self._under_way[future] = begin
        if not self._in_turn:
            start()
        else:
            self._line.append(start)
            if len(self._line) == 1:
                start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Does at once what is still to be done."""
        self._closed = True
        if self._faults.counts["crash"]:
            return
        while self._under_way:
            next(iter(self._under_way.values()))()

    def _outcome(self, future: Future[Any], work: Callable[[], Any]) -> Callable[[], None]:
        try:
            with self._faults.in_thread():
                result = work()
        except BaseException as error:
            failure = error
            return lambda: future.set_exception(failure)
        return lambda: future.set_result(result)
