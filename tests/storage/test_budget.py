from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.errors import ClosedError, MemoryBudgetError, UsageError
from asyncmr.storage.budget import Budget, JobBudget
from tests.actors.until import turns


async def waiting(coroutine) -> asyncio.Task:
    """A task that has got as far as it can."""
    task = asyncio.create_task(coroutine)
    await turns(3)
    return task


async def test_what_fits_is_given_and_what_does_not_is_refused() -> None:
    budget = Budget(10)
    assert [budget.try_reserve(6), budget.try_reserve(5), budget.try_reserve(4)] == [True, False, True]
    assert budget.stats() == (10, 10, 0, 0)


async def test_waiting_requests_are_served_in_their_order() -> None:
    budget = Budget(10)
    await budget.reserve(8)
    large, small = await waiting(budget.reserve(9)), await waiting(budget.reserve(1))
    assert not small.done()  # it would fit, and would keep the large one waiting
    assert budget.stats().waiting == 2
    budget.release(8)
    await asyncio.gather(large, small)
    assert budget.stats() == (10, 10, 0, 0)


async def test_who_may_do_without_does_not_overtake_who_waits() -> None:
    budget = Budget(10)
    await budget.reserve(8)
    task = await waiting(budget.reserve(5))
    assert not budget.try_reserve(1)
    budget.release(8)
    await task
    assert budget.try_reserve(1)


async def test_an_oversize_request_is_admitted_alone() -> None:
    budget = Budget(10)
    await budget.reserve(1)
    task = await waiting(budget.reserve(100))
    assert not task.done()
    budget.release(1)
    await task
    assert not budget.try_reserve(1)
    budget.release(100)
    assert budget.try_reserve(10)


async def test_an_oversize_block_that_can_go_to_disk_is_refused() -> None:
    assert not Budget(10).try_reserve(11)


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_request_takes_nothing_and_lets_the_next_one_go(granted: bool) -> None:
    budget = Budget(10)
    await budget.reserve(8)
    first, second = await waiting(budget.reserve(9)), await waiting(budget.reserve(2))
    if granted:
        budget.release(8)  # the grant is on its way when the cancellation comes
    first.cancel()
    await second
    assert first.cancelled()
    assert budget.stats().held == (2 if granted else 10)


async def test_a_minimum_is_there_whatever_others_hold() -> None:
    budget = Budget(10)
    job, other = await budget.lease(4), await budget.lease(0)
    assert other.try_reserve(6)
    assert not other.try_reserve(1)
    assert job.try_reserve(4)
    assert budget.stats() == (10, 10, 4, 0)


async def test_a_request_within_the_minimum_does_not_queue() -> None:
    budget = Budget(10)
    job, other = await budget.lease(4), await budget.lease(0)
    await other.reserve(6)
    task = await waiting(other.reserve(5))
    await job.reserve(4)
    assert not task.done()
    other.release(6)
    await task


async def test_a_waiting_request_is_served_by_its_own_minimum_out_of_turn() -> None:
    budget = Budget(10)
    job, other = await budget.lease(4), await budget.lease(0)
    await job.reserve(4)
    await other.reserve(6)
    head, behind = await waiting(other.reserve(6)), await waiting(job.reserve(2))
    job.release(3)
    await behind
    assert not head.done()
    other.release(6)
    await head


async def test_a_large_request_of_a_job_waits_for_the_job_itself() -> None:
    """Everything is leased, so only what the job gives back can serve it; nothing may be overrun."""
    budget = Budget(10)
    job, _ = await budget.lease(6), await budget.lease(4)
    await job.reserve(5)
    task = await waiting(job.reserve(3))
    assert not task.done()
    job.release(5)
    await task
    assert budget.stats().held == 3


async def test_a_lease_waits_until_its_minimum_is_free() -> None:
    budget = Budget(10)
    first = await budget.lease(6)
    task = await waiting(budget.lease(6))
    assert not task.done()
    first.close()
    assert (await task).minimum == 6


async def test_a_lease_of_more_than_there_is_says_what_it_needs() -> None:
    with pytest.raises(MemoryBudgetError, match="needs at least 11 bytes"):
        await Budget(10).lease(11)


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_lease_leaves_nothing_set_aside(granted: bool) -> None:
    budget = Budget(10)
    await budget.reserve(8)
    task = await waiting(budget.lease(5))
    if granted:
        budget.release(8)
    task.cancel()
    await turns(3)
    assert budget.stats() == (10, 0 if granted else 8, 0, 0)


async def test_closing_a_share_gives_back_all_and_later_releases_count_for_nothing() -> None:
    budget = Budget(10)
    with await budget.lease(4) as job:
        await job.reserve(7)
    job.release(7)
    job.close()
    assert budget.stats() == (10, 0, 0, 0)
    with pytest.raises(ClosedError):
        job.try_reserve(1)


async def test_closing_a_share_wakes_who_waits_in_it() -> None:
    budget = Budget(10)
    job = await budget.lease(4)
    await budget.reserve(6)
    task = await waiting(job.reserve(5))
    job.close()
    with pytest.raises(ClosedError, match="while it waited"):
        await task
    assert budget.stats().waiting == 0


async def test_releasing_what_is_not_held_is_refused() -> None:
    budget = Budget(10)
    await budget.reserve(3)
    with pytest.raises(UsageError, match="4 bytes released"):
        budget.release(4)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError):
        Budget(0)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "try", "release", "cancel"]), st.integers(0, 2), st.integers(0, 60)
    ),
    max_size=60,
)


@given(OPERATIONS, st.lists(st.integers(0, 30), min_size=3, max_size=3))
def test_whatever_happens_the_total_holds_and_everything_comes_back(operations, minimums) -> None:
    """No request here is oversize, so `held` never passes the total; in the end nobody waits or holds."""
    asyncio.run(run_operations(operations, minimums))


async def run_operations(operations: list[tuple[str, int, int]], minimums: list[int]) -> None:
    budget = Budget(100)
    jobs = [await budget.lease(minimum) for minimum in minimums]
    common = 100 - sum(minimums)
    requests: list[tuple[JobBudget, int, asyncio.Task]] = []
    for kind, number, size in operations:
        job = jobs[number]
        size = min(size, job.minimum + common)
        if kind == "reserve":
            requests.append((job, size, await waiting(job.reserve(size))))
        elif kind == "try":
            job.try_reserve(size)
        elif kind == "release":
            job.release(min(size, job.held))
        elif requests:
            requests.pop(size % len(requests))[2].cancel()
        await turns(3)
        assert sum(job.held for job in jobs) == budget.stats().held <= 100
        for job, size, task in requests:
            assert task.done() or size > job.minimum - job.held, "its own minimum would have served it"
    while requests:
        for job in jobs:
            job.release(job.held)
        await turns(3)
        requests = [request for request in requests if not request[2].done()]
    for job in jobs:
        job.close()
    assert budget.stats() == (100, 0, 0, 0)
