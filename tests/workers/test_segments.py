"""Segments are reused, waited for in order, and never a reason for a SIGBUS."""

from __future__ import annotations

import asyncio
import os
import resource
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.errors import ClosedError, StorageError
from asyncmr.workers import Pool, Program, Segments
from asyncmr.workers.attach import Attachments
from asyncmr.workers.blocks import SHAREABLE, SharedBlock
from tests.workers.programs import Echo
from tests.workers.talking import talk, until

ECHO = Program(Echo())
SIZE = 1 << 16

needs_memfd = pytest.mark.skipif(not SHAREABLE, reason="needs memfd_create and /proc")


@pytest.fixture(params=["shared", "private"])
async def segments(request):
    if request.param == "shared" and not SHAREABLE:
        pytest.skip("needs memfd_create and /proc")
    with ThreadPoolExecutor(2) as threads:
        segments = Segments(2, SIZE, threads, shared=request.param == "shared")
        yield segments
        segments.close()


async def test_nothing_is_allocated_before_the_first_lease(segments):
    assert segments.stats().bytes == 0
    (await segments.lease()).release()
    assert segments.stats().bytes == SIZE


async def test_a_released_segment_is_used_again(segments):
    first = await segments.lease()
    first.view[:5] = b"trace"
    first.release()
    second = await segments.lease()
    assert bytes(second.view[:5]) == b"trace"
    second.release()
    assert segments.stats().bytes == SIZE


async def test_releasing_twice_is_harmless(segments):
    segment = await segments.lease()
    segment.release()
    segment.release()
    assert (segments.stats().leased, segments.stats().bytes) == (0, SIZE)


async def test_a_released_segment_cannot_be_used(segments):
    segment = await segments.lease()
    segment.release()
    with pytest.raises(ClosedError):
        segment.range(0, 1)


async def test_who_came_first_gets_the_next_free_segment(segments):
    held = [await segments.lease(), await segments.lease()]
    order: list[int] = []

    async def take(number):
        segment = await segments.lease()
        order.append(number)
        segment.release()

    tasks = [asyncio.create_task(take(number)) for number in range(5)]
    await until(lambda: segments.stats().waiting == 5)
    for segment in held:
        segment.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert segments.stats().leased == 0


@pytest.mark.parametrize("served", [False, True], ids=["waiting", "just served"])
async def test_a_cancelled_wait_passes_its_turn_on(segments, served):
    held = [await segments.lease(), await segments.lease()]
    first = asyncio.create_task(segments.lease())
    second = asyncio.create_task(segments.lease())
    await until(lambda: segments.stats().waiting == 2)
    if served:
        held.pop().release()
    first.cancel()
    await asyncio.wait({first})
    if not served:
        held.pop().release()
    (await second).release()
    held.pop().release()
    assert (segments.stats().leased, segments.stats().waiting) == (0, 0)


async def test_a_larger_request_gets_memory_of_its_own_and_gives_it_back(segments):
    segment = await segments.lease(5 * SIZE)
    assert segment.size == 5 * SIZE
    assert segments.stats().bytes == 5 * SIZE
    segment.release()
    assert (segments.stats().bytes, segments.stats().leased) == (0, 0)


async def test_growing_keeps_the_content_and_lasts_until_the_release(segments):
    segment = await segments.lease()
    segment.view[:] = b"x" * SIZE
    await segment.grow(3 * SIZE)
    segment.view[SIZE : SIZE + 1] = b"y"
    await segment.grow(4 * SIZE)
    assert bytes(segment.view[: SIZE + 1]) == b"x" * SIZE + b"y"
    segment.release()
    assert segments.stats().bytes == SIZE


async def test_a_cancelled_allocation_gives_place_and_memory_back(segments):
    task = asyncio.create_task(segments.lease(200 * SIZE))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert (segments.stats().leased, segments.stats().bytes) == (0, 0)


async def test_closing_fails_who_waits(segments):
    held = [await segments.lease(), await segments.lease()]
    task = asyncio.create_task(segments.lease())
    await until(lambda: segments.stats().waiting == 1)
    segments.close()
    with pytest.raises(ClosedError):
        await task
    for segment in held:
        segment.release()
    assert segments.stats().bytes == 0


async def test_a_range_outside_its_segment_is_refused(segments):
    segment = await segments.lease()
    with pytest.raises(ValueError, match="not inside"):
        segment.range(SIZE - 1, 2)
    segment.release()


async def test_workers_read_grown_and_reused_segments_alike():
    async with Pool(2, segment_size=SIZE, segment_count=1) as pool:
        for number in range(20):
            content = os.urandom(SIZE * 2 if number % 3 == 0 else SIZE)
            segment = await pool.segments.lease()
            await segment.grow(len(content))
            segment.view[: len(content)] = content
            reply = await talk(pool, ECHO, "run", (), [[segment.range(0, len(content))]])
            segment.release()
            assert reply.items[0][1] == content


@needs_memfd
async def test_a_worker_lets_go_of_a_large_segment_when_its_session_ends():
    async with Pool(1, segment_size=SIZE) as pool:
        segment = await pool.segments.lease(50 * SIZE)
        await talk(pool, ECHO, "run", (), [[segment.range(0, 1)]])
        segment.release()
        with open(f"/proc/{pool.pids()[0]}/maps") as maps:
            assert "asyncmr-segment" not in maps.read()


@needs_memfd
async def test_a_worker_that_cannot_map_segments_gets_bytes(monkeypatch):
    monkeypatch.setattr("asyncmr.workers.blocks.Probe.content", b"what the worker will not find")
    async with Pool(1, segment_size=SIZE) as pool:
        assert pool._probe is not None
        pool._probe._block.view[:4] = b"else"
        segment = await pool.segments.lease()
        segment.view[:3] = b"abc"
        reply = await talk(pool, ECHO, "run", (), [[segment.range(0, 3)]])
        segment.release()
        [seat] = pool._live
        assert not seat.slot.maps_segments
        assert reply.items[0][1] == b"abc"


@needs_memfd
def test_memory_that_cannot_be_had_is_an_error_with_its_size():
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, limits[1]))
    try:
        with pytest.raises(StorageError) as caught:
            SharedBlock(SIZE + 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.size == SIZE + 1


@needs_memfd
def test_a_file_number_that_was_used_again_is_noticed():
    block = SharedBlock(SIZE)
    ref = block.ref(0, 1, keep=True)
    assert ref is not None
    block.close()
    other = SharedBlock(SIZE)
    with pytest.raises(OSError, match=r"released too early|No such file"):
        Attachments().view(ref)
    other.close()


@needs_memfd
@given(st.integers(0, SIZE), st.integers(0, SIZE))
@settings(max_examples=30, deadline=None)
def test_a_worker_sees_exactly_the_range(offset, length):
    length = min(length, SIZE - offset)
    block = SharedBlock(SIZE)
    block.view[:] = content = os.urandom(SIZE)
    ref = block.ref(offset, length, keep=False)
    attachments = Attachments()
    assert ref is not None
    view = attachments.view(ref)
    assert view == content[offset : offset + length]
    view.release()
    attachments.end_session()
    block.close()


@needs_memfd
async def test_without_a_file_to_share_memory_is_private_and_goes_through_the_socket():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, before[1]))
    try:
        async with Pool(1, segment_size=2 * SIZE) as pool:
            segment = await pool.segments.lease()
            segment.view[:5] = b"hello"
            assert segment.range(0, 5).ref() is None
            reply = await talk(pool, ECHO, "run", (), [[segment.range(0, 5)]])
            assert [bytes(data) for _, data in reply.items] == [b"hello"]
            segment.release()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
