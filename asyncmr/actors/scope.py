"""Many tasks, one error.

An anyio task group that raises a single exception, not an ExceptionGroup. A task that fails is recorded and
cancels the rest; the first failure is what leaves the block, as it was raised, and a note on it names each
later one.

A cancellation from outside always leaves as `CancelledError`, even when tasks failed on the way down (notes
name them): an error in its place could be caught and retried, and the caller who cancels would wait for
ever.

A task that ends by a `CancelledError` nobody here asked for (it awaited a future that was cancelled, say)
counts as failed. A bare task group would take it for its own cancellation and leave the block as if all
work were done.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import anyio

from asyncmr.errors import AsyncMRError, ClosedError


class StrayCancellation(AsyncMRError):
    """A task was cancelled by something other than the scope that owns it. `task`: its name."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"{task!r} was cancelled, but not by its owner: either something that it awaited was cancelled, "
            "or Task.cancel() was called on it; cancel the job instead"
        )
        self.task = task


class TaskScope:
    """Owns tasks: `async with TaskScope() as scope: scope.spawn(function, name="...")`.

    Leaving the block waits for all of them. When one fails, or the block does, the rest are cancelled at
    once.
    """

    def __init__(self) -> None:
        self._group = anyio.create_task_group()
        self._open = False
        self._requests = 0
        self._failures: list[tuple[str, BaseException]] = []

    @property
    def failure(self) -> BaseException | None:
        """What failed first, or None."""
        return self._failures[0][1] if self._failures else None

    def spawn(self, function: Callable[[], Awaitable[None]], *, name: str) -> None:
        """Starts `function()` as a task.

        Raises:
            ClosedError: outside the block.
        """
        if not self._open:
            raise ClosedError(f"{name!r} cannot start: add it inside the `async with` block")
        self._group.start_soon(self._guard, function, name, name=name)

    def fail(self, name: str, error: BaseException) -> None:
        """Records `error` (once, however often it is reported) and cancels every task."""
        if not any(error is known for _, known in self._failures):
            self._failures.append((name, error))
        self.cancel()

    def cancel(self) -> None:
        """Cancels every task and the block; leaving it then raises only what failed."""
        self._group.cancel_scope.cancel()

    async def _guard(self, function: Callable[[], Awaitable[None]], name: str) -> None:
        try:
            await function()
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            if anyio.current_effective_deadline() == -math.inf:
                raise
            stray = StrayCancellation(name)
            stray.__cause__ = error
            self.fail(name, stray)
        except BaseException as error:
            self.fail(name, error)

    async def __aenter__(self) -> Self:
        self._requests = _cancel_requests()
        await self._group.__aenter__()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        cancelled = isinstance(error, asyncio.CancelledError)
        if error is not None and not cancelled:
            self.fail("the block", error)
        try:
            # An error of the block is recorded above; the group would wrap what it is given.
            given = (kind, error, trace) if cancelled else (None, None, None)
            swallowed = await self._group.__aexit__(*given)
            # asyncio folds a cancellation from outside into one of ours that is on its way in the same turn,
            # and anyio before 4.16 then swallows both; but the request stays counted.
            if _cancel_requests() > self._requests:
                raise asyncio.CancelledError
        except asyncio.CancelledError as outside:
            _note(outside, self._failures)
            raise
        finally:
            self._open = False
        if not self._failures:
            return bool(swallowed)
        (_, first), *later = self._failures
        _note(first, later)
        if first is error:
            return False
        # Raised here it would get the cancellation of this block as its context, in place of its own.
        context = first.__context__
        try:
            raise first
        finally:
            first.__context__ = context


def _cancel_requests() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _note(error: BaseException, failures: list[tuple[str, BaseException]]) -> None:
    for name, other in failures:
        if type(other) is type(error) and str(other) == str(error):
            continue  # several tasks met the same cause
        error.add_note(f"{name!r} failed as well: {type(other).__name__}: {other}")
