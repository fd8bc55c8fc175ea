"""Many tasks, one error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest

from asyncmr.actors import StrayCancellation, TaskScope
from asyncmr.errors import ClosedError
from tests.actors.until import nothing, turns

pytestmark = pytest.mark.both_loops


Job = Callable[[], Awaitable[None]]


def failing(error: BaseException) -> Job:
    async def fail() -> None:
        raise error

    return fail


async def for_ever() -> None:
    await asyncio.Event().wait()


async def failing_when_cancelled() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise KeyError("clean-up")


async def run(*functions: Job, block: Job = nothing) -> None:
    async with TaskScope() as scope:
        for number, function in enumerate(functions):
            scope.spawn(function, name=f"task {number}")
        await block()


async def test_leaving_waits_for_every_task():
    done: list[int] = []

    async def work() -> None:
        await turns(5)
        done.append(1)

    await run(work, work)
    assert done == [1, 1]


async def test_a_failure_cancels_the_rest_and_leaves_as_it_was_raised():
    error = ValueError("bad disk")
    with pytest.raises(ValueError, match="bad disk") as caught:
        await run(for_ever, failing(error), for_ever)
    assert caught.value is error


async def test_a_failure_keeps_its_own_cause_and_context():
    async def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer")  # noqa: B904 - the context is what the test is about

    with pytest.raises(ValueError, match="outer") as caught:
        await run(for_ever, fail)
    assert isinstance(caught.value.__context__, KeyError)


async def test_later_failures_are_noted_on_the_first():
    with pytest.raises(ValueError, match="bad disk") as caught:
        await run(failing_when_cancelled, failing(ValueError("bad disk")))
    assert caught.value.__notes__ == ["'task 0' failed as well: KeyError: 'clean-up'"]


async def test_a_group_that_a_task_raises_itself_stays_a_group():
    group = ExceptionGroup("mine", [ValueError("a"), KeyError("b")])
    with pytest.raises(ExceptionGroup) as caught:
        await run(failing(group))
    assert caught.value is group


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_a_task_that_wants_to_stop_the_program_is_heard_after_the_others_are_down(error: BaseException):
    ended: list[str] = []

    async def neighbour() -> None:
        try:
            await for_ever()
        finally:
            ended.append("neighbour")

    with pytest.raises(type(error)):
        await run(neighbour, failing(error))
    assert ended == ["neighbour"]


async def test_an_error_of_the_block_cancels_the_tasks():
    async def block() -> None:
        await turns(3)
        raise ValueError("block")

    with pytest.raises(ValueError, match="block") as caught:
        await run(failing_when_cancelled, block=block)
    assert caught.value.__notes__ == ["'task 0' failed as well: KeyError: 'clean-up'"]


async def test_a_failure_interrupts_the_block():
    with pytest.raises(ValueError, match="bad disk"):
        await run(failing(ValueError("bad disk")), block=for_ever)


async def test_cancel_ends_tasks_and_block_without_an_error():
    async with TaskScope() as scope:
        scope.spawn(for_ever, name="task")
        scope.cancel()
        await for_ever()
    assert scope.failure is None


async def test_a_cancellation_from_outside_stays_one_and_notes_what_failed_meanwhile():
    task = asyncio.ensure_future(run(failing_when_cancelled))
    await turns(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.__notes__ == ["'task 0' failed as well: KeyError: 'clean-up'"]


@pytest.mark.parametrize("before", [True, False])
async def test_a_cancellation_in_the_turn_of_a_failure_is_not_lost(before: bool):
    """The block gets one CancelledError for both: its own, for the failure, and the one from outside."""
    fail = asyncio.Event()

    async def work() -> None:
        await fail.wait()
        if before:
            task.cancel()
        else:
            asyncio.get_running_loop().call_soon(task.cancel)
        raise ValueError("bad disk")

    task = asyncio.ensure_future(run(work))
    await turns(5)
    fail.set()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_timeout_around_it_is_a_timeout():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await run(for_ever)
    with anyio.move_on_after(0.001) as limit:
        await run(for_ever)
    assert limit.cancelled_caught


async def test_a_task_that_is_cancelled_by_somebody_else_has_failed():
    """A bare anyio group leaves its block here as if all were well."""
    future = asyncio.get_running_loop().create_future()

    async def work() -> None:
        future.cancel()
        await future

    with pytest.raises(StrayCancellation, match="'task 0' was cancelled, but not by its owner") as caught:
        await run(work, for_ever)
    assert caught.value.task == "task 0"
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_a_scope_that_is_not_open_refuses_tasks():
    scope = TaskScope()
    with pytest.raises(ClosedError, match="'task' cannot start"):
        scope.spawn(for_ever, name="task")
    async with scope:
        pass
    with pytest.raises(ClosedError, match="'task' cannot start"):
        scope.spawn(for_ever, name="task")
