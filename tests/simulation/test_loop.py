"""The loop on a virtual clock: what it keeps of asyncio's promises, and what it changes."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.simulation.loop import Hang, SimulatedLoop


def run(coroutine, seed=1, **options):
    loop = SimulatedLoop(seed, **{"disorder": 1.0} | options)
    try:
        return loop.run_until_complete(coroutine), loop
    finally:
        loop.close()


def order(seed, disorder=1.0):
    """In which order ten tasks went on that were ready at the same time."""
    went: list[int] = []

    async def one(number):
        await asyncio.sleep(0)
        went.append(number)

    async def main():
        await asyncio.gather(*(one(number) for number in range(10)))

    _, loop = run(main(), seed, disorder=disorder)
    return went, loop.digest


def test_a_day_passes_in_no_time():
    _, loop = run(asyncio.sleep(86_400))
    assert loop.time() >= 86_400
    assert loop.steps < 20  # it does not tick through the day


def test_the_seed_decides_in_which_order_tasks_go_on():
    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(2)[0]) == list(range(10))


def test_without_disorder_tasks_go_on_as_in_asyncio():
    assert order(1, disorder=0.0)[0] == list(range(10))


@pytest.mark.parametrize("seed", range(10))
def test_callbacks_of_a_future_and_those_of_no_task_keep_their_order(seed):
    of_future: list[int] = []
    of_none: list[int] = []

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        for number in range(5):
            future.add_done_callback(partial(_note, of_future, number))
            loop.call_soon(of_none.append, number)
        future.set_result(None)
        for _ in range(30):
            await asyncio.sleep(0)

    run(main(), seed)
    assert of_future == of_none == list(range(5))


def _note(numbers, number, _future):
    numbers.append(number)


def test_timers_ring_in_order_and_at_the_grain_together():
    rang: list[float] = []

    async def main():
        loop = asyncio.get_running_loop()
        for delay in (0.021, 0.011, 0.013, 0.019):
            loop.call_later(delay, lambda: rang.append(round(loop.time(), 3)))
        await asyncio.sleep(1)

    run(main(), disorder=0.0, grain=0.01)
    assert rang == [0.02, 0.02, 0.02, 0.03]


def test_where_nothing_can_happen_any_more_the_stacks_are_shown():
    async def waits_for_ever():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Hang, match=r"(?s)nothing is left that could happen.*in waits_for_ever"):
        run(waits_for_ever())


def test_what_goes_on_for_ever_is_ended():
    async def spins():
        while True:
            await asyncio.sleep(0.1)

    with pytest.raises(Hang, match="no end after 1,001 steps"):
        run(spins(), most_steps=1000)


async def test_a_shielded_task_that_is_cancelled_is_waited_for_on_the_clock():
    """anyio asks at every turn whether it has ended; that must not keep the clock from going on."""
    import anyio

    async def main():
        with anyio.move_on_after(1):
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(1000)

    await asyncio.to_thread(_in_thread, main)


def _in_thread(main):
    _, loop = run(main())
    assert loop.time() >= 1000
    assert loop.steps < 1000
