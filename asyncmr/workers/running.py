"""Two ways to advance a program's generator, one step for each call of the host.

A step ends when the generator is done, when it asks for another round of input ("hungry"), or when its
output has reached the limit ("more"). Between two steps no code of the program runs.

`DirectRun` has all its input from the start: the generator is advanced in the calling thread and simply
stays suspended. `FedRun` cannot do that, since a generator that waits inside `next(feed)` cannot be left
suspended from outside: it runs in a thread, and the two threads pass control to and fro, so that only
one of them ever runs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

from asyncmr.counters import Counts, counting

Round = list[memoryview]
Item = tuple[Any, bytes]
Step = tuple[str, list[Item], Any]  # the state, what was yielded, the result or what is wanted next

ITEM_OVERHEAD = 64  # bytes an empty item counts for, so that a flood of tiny ones reaches the limit too

_NO_MORE = "the program asked for more input after the last round"


class Feed(Protocol):
    """What a program pulls its input from."""

    def __iter__(self) -> Iterator[Round]: ...

    def __next__(self) -> Round:
        """The next round; StopIteration after the last."""

    def ask(self, wanted: Any) -> Round:
        """The next round; `wanted`, a builtin, tells the host what it should hold. EOFError after the last."""


Start = Callable[[Feed], Generator[Any, Any, Any]]


class Run(Protocol):
    """A generator under way."""

    counts: Counts

    def step(self, buffers: Round | None, last: bool) -> Step:
        """Goes on with another round of input, or (None) after a drained "more"."""

    def close(self) -> None:
        """Ends the generator early; its `finally` blocks run."""


class Output:
    """What the generator yielded since the last step."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: list[Item] = []
        self._size = 0

    def add(self, item: Any) -> bool:
        """Keeps one item; True once the limit is reached. An item of any size is kept."""
        meta, data = item
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        self._items.append((meta, data))
        self._size += len(data) + ITEM_OVERHEAD
        return self._size >= self._limit

    def take(self) -> list[Item]:
        items, self._items, self._size = self._items, [], 0
        return items


class DirectRun:
    """A generator whose only round of input is there from the start."""

    def __init__(self, start: Start, first: Round, limit: int) -> None:
        self.counts: Counts = {}
        self._first = first
        self._output = Output(limit)
        self._start = start
        self._generator: Generator[Any, Any, Any] | None = None

    def step(self, buffers: Round | None, last: bool) -> Step:
        with counting(self.counts):
            if self._generator is None:
                self._generator = self._start(_OneRound(self._first))
            generator, add = self._generator, self._output.add
            while True:
                try:
                    item = next(generator)
                except StopIteration as stop:
                    _release(self._first)
                    return "done", self._output.take(), stop.value
                if add(item):
                    return "more", self._output.take(), None

    def close(self) -> None:
        if self._generator is not None:
            self._generator.close()
        _release(self._first)


class _OneRound:
    """The feed of a generator that has all its input from the start."""

    def __init__(self, first: Round) -> None:
        self._rest = [first]

    def __iter__(self) -> Iterator[Round]:
        return self

    def __next__(self) -> Round:
        if not self._rest:
            raise StopIteration
        return self._rest.pop()

    def ask(self, wanted: Any) -> Round:
        if not self._rest:
            raise EOFError(_NO_MORE)
        return self._rest.pop()


class _Closed(BaseException):
    """Unwinds a program that waits for input which will never come."""


class FedRun:
    """A generator in a thread of its own. It is the iterator that the program pulls its rounds from.

    The views of a round are released when the program asks for the next one: the host writes the next
    input into the same memory.
    """

    def __init__(self, start: Start, first: Round, limit: int) -> None:
        self.counts: Counts = {}
        self._start = start
        self._round: Round | None = first
        self._taken: Round = []
        self._last = False
        self._closed = False
        self._output = Output(limit)
        self._to_program: SimpleQueue[tuple[Round | None, bool] | None] = SimpleQueue()
        self._to_host: SimpleQueue[Step | BaseException] = SimpleQueue()
        self._thread: Thread | None = None

    def step(self, buffers: Round | None, last: bool) -> Step:
        if self._thread is None:
            # A daemon, so that a program that never ends cannot hold up the end of its worker.
            self._thread = Thread(target=self._main, name="asyncmr-session", daemon=True)
            self._thread.start()
        else:
            self._to_program.put((buffers, last))
        step = self._to_host.get()
        if isinstance(step, BaseException):
            raise step
        return step

    def close(self) -> None:
        if self._thread is not None:
            self._to_program.put(None)
            self._thread.join()
        _release(self._round or [])

    def __iter__(self) -> Iterator[Round]:
        return self

    def __next__(self) -> Round:
        if not self._pull(None):
            raise StopIteration
        return self._taken

    def ask(self, wanted: Any) -> Round:
        if not self._pull(wanted):
            raise EOFError(_NO_MORE)
        return self._taken

    def _pull(self, wanted: Any) -> bool:
        _release(self._taken)
        if self._round is None and not self._last:
            self._switch("hungry", wanted)
        if self._round is None:
            return False
        self._taken, self._round = self._round, None
        return True

    def _switch(self, state: str, wanted: Any = None) -> None:
        """Hands control to the host, and waits until it comes back."""
        if not self._closed:
            self._to_host.put((state, self._output.take(), wanted))
            message = self._to_program.get()
            if message is not None:
                buffers, last = message
                if buffers is not None:
                    # An empty last round only says that there is no more.
                    self._round, self._last = (buffers or None) if last else buffers, last
                return
            self._closed = True
        raise _Closed

    def _main(self) -> None:
        try:
            with counting(self.counts):
                step: Step | BaseException = self._exhaust()
        except BaseException as exc:
            step = exc
        finally:
            _release(self._taken)
        self._to_host.put(step)

    def _exhaust(self) -> Step:
        generator, add = self._start(self), self._output.add
        try:
            while True:
                try:
                    item = next(generator)
                except StopIteration as stop:
                    return "done", self._output.take(), stop.value
                if add(item) or self._closed:  # closed: it went on although its feed was cut off
                    self._switch("more")
        finally:
            generator.close()


def _release(buffers: Round) -> None:
    """Makes a late use of a round's views an error instead of other bytes."""
    for view in buffers:
        with suppress(BufferError):
            view.release()
    buffers.clear()
