"""Calls of an async function: in order, bounded, tried again after pauses, and ended when they should."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.pipeline import calls as module
from asyncmr.pipeline.call import Record
from asyncmr.pipeline.calls import Calls
from asyncmr.pipeline.tolerance import Tolerance
from tests.simulation.loop import SimulatedLoop


def record(value, size=100):
    return Record(None, value, 0, size)


def calls_of(function, *, concurrency=4, hashes=False, **tolerance):
    return Calls(function, "mapper", concurrency=concurrency, tolerance=Tolerance(**tolerance), hashes=hashes)


def simulated(main, seed=1):
    """What `main()` returns, on a virtual clock, and what that showed at the end."""
    loop = SimulatedLoop(seed, disorder=0.5)
    try:
        found = loop.run_until_complete(main())
        assert loop.unheard == []
        return found, loop.time()
    finally:
        loop.close()


async def all_of(calls, values, size=100):
    """Begins all calls and takes all, as a caller and a collector do."""
    ended = []

    async def begin():
        for value in values:
            await calls.begin(record(value, size))
        calls.mark()

    async with calls:
        beginning = asyncio.create_task(begin())
        try:
            while (call := await calls.take()) is not None:
                ended.append(call)
                if call.is_final:
                    break
        finally:
            beginning.cancel()
    return ended


@given(st.lists(st.floats(0, 10), max_size=40), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_calls_are_taken_in_the_order_in_which_they_began(seconds, concurrency, seed):
    running = most = 0

    async def sleeps(_key, value):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(value)
        running -= 1
        return [(value, None)]

    ended, _ = simulated(lambda: all_of(calls_of(sleeps, concurrency=concurrency), seconds), seed)
    assert [call.pairs for call in ended] == [[(value, None)] for value in seconds]
    assert most <= concurrency


def test_no_more_than_a_bounded_number_waits_behind_a_slow_call():
    begun = []

    async def first_is_slow(_key, value):
        begun.append(value)
        if value == 0:
            await asyncio.sleep(1000)
            return [(len(begun), None)]
        return []

    ended, _ = simulated(lambda: all_of(calls_of(first_is_slow, concurrency=4), range(100)))
    assert ended[0].pairs == [(4 * module._BEHIND, None)]


@pytest.mark.parametrize(("size", "most"), [(module.WINDOW_BYTES // 4, 3), (2 * module.WINDOW_BYTES, 1)])
def test_calls_under_way_hold_a_bounded_number_of_bytes_but_there_is_always_one(size, most):
    running = seen = 0

    async def function(_key, value):
        nonlocal running, seen
        running += 1
        seen = max(seen, running)
        await asyncio.sleep(1)
        running -= 1
        return []

    simulated(lambda: all_of(calls_of(function, concurrency=10), range(12), size))
    assert seen == most


def test_what_calls_gave_counts_against_the_room_too():
    begun = []

    async def gives_much(_key, value):
        begun.append(value)
        if value == 0:
            await asyncio.sleep(1000)
            return [(len(begun), None)]
        return [(None, "x" * (module.WINDOW_BYTES // 4))]

    ended, _ = simulated(lambda: all_of(calls_of(gives_much, concurrency=2), range(20)))
    assert ended[0].pairs[0][0] <= 6


def fails(times, error=OSError):
    """A function that raises at its first calls for each record."""
    seen: dict[object, list[float]] = {}

    async def function(_key, value):
        at = seen.setdefault(value, [])
        at.append(asyncio.get_running_loop().time())
        if len(at) <= times:
            raise error(f"no {len(at)}")
        return [(value, len(at))]

    return function, seen


def test_what_raises_is_called_again_after_pauses_that_double():
    function, seen = fails(3)
    ended, _ = simulated(lambda: all_of(calls_of(function, retries=3), [1]))
    assert ended[0].pairs == [(1, 4)]
    assert ended[0].repeats == 3
    first, second, third, fourth = seen[1]
    assert 0.1 <= second - first <= 0.21
    assert (third - second) / (second - first) == pytest.approx(2, abs=0.05)
    assert (fourth - third) / (third - second) == pytest.approx(2, abs=0.05)


def test_pauses_have_a_longest_and_calls_that_failed_together_are_spread():
    function, seen = fails(12)
    simulated(lambda: all_of(calls_of(function, retries=12, concurrency=8), range(8)))
    pauses = [times[-1] - times[-2] for times in seen.values()]
    assert all(15 <= pause <= 30.1 for pause in pauses)
    assert min(b - a for a, b in zip(sorted(pauses), sorted(pauses)[1:], strict=False)) > 0.5


def test_when_the_retries_are_used_up_the_call_ends_all():
    function, seen = fails(9)
    ended, _ = simulated(lambda: all_of(calls_of(function, retries=2, concurrency=1), range(100)))
    assert [(call.number, call.repeats, str(call.error)) for call in ended] == [(0, 2, "no 3")]
    assert len(seen) == 1


def test_a_failure_ends_all_at_once_although_an_earlier_call_still_waits():
    async def function(_key, value):
        if value == 1:
            raise OSError("no")
        await asyncio.sleep(10_000)

    ended, seconds = simulated(lambda: all_of(calls_of(function, retries=0), range(100)))
    assert [call.number for call in ended] == [1]
    assert seconds < 1


def test_where_failures_are_skipped_the_others_go_on():
    async def function(_key, value):
        if value % 2:
            raise OSError("no")
        return [(value, None)]

    ended, _ = simulated(lambda: all_of(calls_of(function, retries=1, skips=True), range(6)))
    assert [call.error is None for call in ended] == [True, False] * 3


@pytest.mark.parametrize("made", [[1], None, 5, ["abc"]])
def test_what_gives_no_pairs_is_not_called_again(made):
    called = []

    async def function(_key, value):
        called.append(value)
        return made

    ended, _ = simulated(lambda: all_of(calls_of(function), [1]))
    assert "pairs" in str(ended[0].error)
    assert called == [1]


def test_a_key_without_a_hash_is_found_where_keys_are_hashed():
    async def function(_key, value):
        yield [value], 1

    for hashes in (True, False):
        (ended,), _ = simulated(lambda hashes=hashes: all_of(calls_of(function, hashes=hashes), [1]))
        assert (ended.error is not None) is hashes


def test_a_call_that_takes_too_long_is_cancelled_and_made_again():
    cancelled: list[int] = []

    async def function(_key, value):
        try:
            await asyncio.sleep(100 if len(cancelled) < 2 else 1)
        except asyncio.CancelledError:
            cancelled.append(value)
            raise
        return [(value, None)]

    (ended,), seconds = simulated(lambda: all_of(calls_of(function, task_timeout=10), [7]))
    assert ended.pairs == [(7, None)]
    assert cancelled == [7, 7]
    assert 21 < seconds < 23


def test_a_timeout_of_the_function_itself_is_an_exception_like_others():
    async def function(_key, value):
        async with asyncio.timeout(1):
            await asyncio.sleep(2)

    (ended,), _ = simulated(lambda: all_of(calls_of(function, task_timeout=10, retries=1), [7]))
    assert isinstance(ended.error, TimeoutError)
    assert not ended.timed_out


def test_a_call_that_swallows_the_end_of_its_time_ends_all():
    async def function(_key, value):
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    (ended,), seconds = simulated(lambda: all_of(calls_of(function, task_timeout=10, skips=True), [7]))
    assert ended.timed_out
    assert ended.fatal
    assert ended.is_final
    assert seconds < 13


def test_a_cancellation_that_nobody_here_asked_for_is_a_failure_like_others():
    called = []

    async def function(_key, value):
        called.append(value)
        if len(called) == 1:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        if len(called) == 2:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        return [(value, None)]

    (ended,), _ = simulated(lambda: all_of(calls_of(function), [7]))
    assert ended.pairs == [(7, None)]
    assert ended.repeats == 2


def test_even_an_exit_is_a_failure_of_its_call_alone():
    async def function(_key, value):
        raise SystemExit(3)

    (ended,), _ = simulated(lambda: all_of(calls_of(function, retries=0), [7]))
    assert isinstance(ended.error, SystemExit)


async def begun(calls, values):
    async with calls:
        for value in values:
            await calls.begin(record(value))
        for _ in range(20):
            await asyncio.sleep(0)


def test_leaving_cancels_what_runs_and_lets_it_clean_up():
    cleaned = []

    async def function(_key, value):
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.1)
            cleaned.append(value)

    _, seconds = simulated(lambda: begun(calls_of(function), range(3)))
    assert sorted(cleaned) == [0, 1, 2]
    assert seconds < 0.5


def test_what_swallows_its_cancellation_is_waited_for_a_moment_then_closed_and_named(caplog):
    async def stubborn(_key, value):
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def main():
        await begun(calls_of(stubborn), ["the record", "another"])
        return asyncio.all_tasks() - {asyncio.current_task()}

    with caplog.at_level(logging.WARNING, "asyncmr"):
        left, seconds = simulated(main)
    assert not left
    assert 0.5 <= seconds < 0.7
    (told,) = caplog.messages
    assert "stubborn: 2 of its calls went on" in told
    assert "'the record', and were closed" in told


def test_an_error_while_it_is_cancelled_is_told(caplog):
    async def untidy(_key, value):
        try:
            await asyncio.sleep(1000)
        finally:
            raise OSError("the connection is gone")

    with caplog.at_level(logging.WARNING, "asyncmr"):
        simulated(lambda: begun(calls_of(untidy), [1]))
    assert "untidy raised OSError when its call for 1 was cancelled" in caplog.text
    assert "the connection is gone" in caplog.text


@pytest.mark.parametrize("swallows", [True, False])
def test_values_that_could_not_be_read_end_all_whatever_the_function_makes_of_it(swallows):
    faults = []

    async def function(_key, _values):
        try:
            faults.append(OSError("the disk is gone"))
            raise faults[-1]
        except OSError:
            if not swallows:
                raise
        return []

    async def main():
        calls = calls_of(function, skips=True)
        async with calls:
            await calls.begin(Record("key", None, None, 100, faults))
            return await calls.take()

    call, _ = simulated(main)
    assert call.is_final
    assert call.error is faults[0]
    assert len(faults) == 1


def test_a_generator_that_never_waits_is_ended_in_its_own_call_when_its_time_is_up():
    closed = []

    async def endless(_key, value):
        try:
            while True:
                yield value, None
        finally:
            closed.append(asyncio.current_task())

    (ended,), _ = simulated(lambda: all_of(calls_of(endless, task_timeout=0.01, retries=0), [7]))
    assert ended.timed_out
    (task,) = closed
    assert task is not None
    assert task.get_name().endswith("endless, call 0")
