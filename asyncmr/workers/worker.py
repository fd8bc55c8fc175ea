"""Worker: the far end of a slot. It keeps the programs, maps the segments, and runs one session at a time.

An answer is `(state, head, data)`: "done", "hungry" and "more" come with a head of (metas, result, counts),
"failed" with one of (type name, message, traceback, facts), "missing" asks for the program's bytes, and "prepared"
and "closed" say no more.
`data` are the items' bytes. The head is marshalled: that refuses whatever is not a builtin, here where it
is an error of the program, and the host never unpickles what a program made.
"""

from __future__ import annotations

import gc
import marshal
import pickle
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from asyncmr.excerpt import failure_of
from asyncmr.workers.attach import Attachments, SegmentRef
from asyncmr.workers.forwarding import Levels, only_forward, set_levels
from asyncmr.workers.redirection import flush_streams
from asyncmr.workers.running import DirectRun, FedRun, Feed, Round, Run
from asyncmr.workers.wire import Received

Answer = tuple[str, bytes, Sequence[Received]]
WireBuffer = bytes | memoryview | pickle.PickleBuffer | SegmentRef

PROGRAM_LIMIT = 16  # programs kept per worker: steps of a few jobs at once; a dropped one is sent again
GARBAGE_LIMIT = 10_000  # new container objects that are worth a collection between two calls


class Worker:
    """What one slot runs on. `own_process`: it may tune the garbage collector, which is everybody's."""

    def __init__(self, *, own_process: bool) -> None:
        self._own_process = own_process
        self._programs: OrderedDict[int, Any] = OrderedDict()
        self._shared: WeakValueDictionary[int, Any] = WeakValueDictionary()  # what programs have in common
        self._attachments = Attachments()
        self._run: Run | None = None
        self._littered = False

    def prepare(self, program: int, data: tuple[bytes, Levels] | None, parts: dict[int, bytes]) -> Answer:
        """Calls the program's `prepare` with what all programs of this worker share, a mapping that it may add to, and
        the parts to make that of. What it adds stays while a program holds it. It returns False if a part is missing.
        """
        if data is None and program not in self._programs:
            return "missing", b"", []
        try:
            if not self._load(program, data).prepare(self._shared, parts):
                return "missing", b"", []
        except BaseException as exc:
            return self._failed(exc)
        if self._own_process:
            gc.freeze()  # a dictionary of a million entries, say, that no collection need look at
        return "prepared", b"", []

    def open(
        self,
        program: int,
        data: tuple[bytes, Levels] | None,
        method: str,
        argument: bytes,
        buffers: list[WireBuffer],
        last: bool,
        limit: int,
    ) -> Answer:
        """Starts a session and takes its first step."""
        if data is None and program not in self._programs:
            return "missing", b"", []
        if self._own_process:
            gc.disable()
        try:
            target = self._load(program, data)
            call = pickle.loads(argument)

            def start(feed: Feed) -> Generator[Any, Any, Any]:
                generator: Generator[Any, Any, Any] = getattr(target, method)(call, feed)
                return generator

            views = self._views(buffers)
            self._run = DirectRun(start, views, limit) if last else FedRun(start, views, limit)
        except BaseException as exc:
            return self._failed(exc)
        return self._step(None, last)

    def feed(self, buffers: list[WireBuffer], last: bool) -> Answer:
        """Hands the session another round of input, and takes a step."""
        try:
            views = self._views(buffers)
        except BaseException as exc:
            return self._failed(exc)
        return self._step(views, last)

    def drain(self) -> Answer:
        """Takes a step after "more"."""
        return self._step(None, False)

    def close(self) -> Answer:
        """Ends the session early; harmless without one. What its clean-up raises is of no interest."""
        run, self._run = self._run, None
        if run is not None:
            with suppress(BaseException):
                run.close()
            self._rest()
        return "closed", b"", []

    def _load(self, program: int, data: tuple[bytes, Levels] | None) -> Any:
        if data is not None:
            pickled, levels = data
            if self._own_process:
                set_levels(levels)
            self._programs[program] = pickle.loads(pickled)
            if self._own_process:
                only_forward()
                gc.freeze()  # the program and what it imported live on: no collection need look at them
            if len(self._programs) > PROGRAM_LIMIT:
                self._programs.popitem(last=False)
        self._programs.move_to_end(program)
        return self._programs[program]

    def _views(self, buffers: list[WireBuffer]) -> Round:
        return [
            self._attachments.view(buffer)
            if isinstance(buffer, SegmentRef)
            else memoryview(buffer).toreadonly()
            for buffer in buffers
        ]

    def _step(self, views: Round | None, last: bool) -> Answer:
        run = self._run
        try:
            if run is None:
                raise RuntimeError("the session is over")
            state, items, result = run.step(views, last)
            answer = self._answer(run, state, items, result)
        except BaseException as exc:
            return self._failed(exc)
        if state == "done":
            self._run = None
            self._rest()
        elif self._own_process and gc.get_count()[0] > GARBAGE_LIMIT:
            # The youngest only: to walk over a large table at every reply would cost more than the task.
            gc.collect(0)
            self._littered = True
        return answer

    @staticmethod
    def _answer(run: Run, state: str, items: list[tuple[Any, bytes]], result: Any) -> Answer:
        done = state == "done"
        counts = {(str(g), str(n)): int(v) for (g, n), v in run.counts.items()} if done else {}
        metas = [meta for meta, _ in items]
        try:
            head = marshal.dumps((metas, result, counts))
        except ValueError as exc:
            raise TypeError("the items' metas and the result of a session must be builtins") from exc
        return state, head, [data for _, data in items]

    def _failed(self, exc: BaseException) -> Answer:
        head = marshal.dumps(failure_of(exc))
        exc.__traceback__ = None  # its frames hold the input's views
        self.close()
        self._rest()
        return "failed", head, []

    def _rest(self) -> None:
        """Between two sessions."""
        self._attachments.end_session()
        if self._own_process:
            flush_streams()
            if self._littered or gc.get_count()[0] > GARBAGE_LIMIT:
                gc.collect()
                self._littered = False
            gc.enable()
