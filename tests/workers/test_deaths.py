"""Workers that are killed, from inside and outside, and workers whose host is killed."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from asyncmr.workers import Pool, Program, SlotDied, SlotTimeout
from asyncmr.workers.seat import Seat
from tests.workers.programs import Echo
from tests.workers.talking import alive, run_script, talk, until

ECHO = Program(Echo())
SIZE = 64 << 20


async def test_a_worker_killed_inside_its_results_write_is_noticed_within_two_seconds():
    async with Pool(1) as pool:
        async with asyncio.timeout(10), pool.session(ECHO, "die_in_result", SIZE) as session:
            with pytest.raises(SlotDied) as caught:
                await asyncio.create_task(session.open())
        assert caught.value.exitcode == -signal.SIGKILL
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"


async def test_a_worker_whose_child_holds_its_channel_open_is_noticed_too(tmp_path):
    """The channel never ends, but the process has: that is told by its sentinel."""
    async with Pool(1) as pool:
        try:
            with pytest.raises(SlotDied):
                async with asyncio.timeout(5):
                    await talk(pool, ECHO, "die_before_its_child", str(tmp_path / "child"))
        finally:
            os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"


async def test_without_the_sentinel_that_death_goes_unnoticed(tmp_path, monkeypatch):
    """The negative control of the test above."""
    seen: list[Seat] = []
    monkeypatch.setattr(Pool, "_died", lambda pool, seat: seen.append(seat))
    async with Pool(1) as pool:
        call = asyncio.create_task(talk(pool, ECHO, "die_before_its_child", str(tmp_path / "child")))
        await until(lambda: seen)
        done, _ = await asyncio.wait({call}, timeout=0.5)
        assert not done
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
        with pytest.raises(SlotDied):  # now the channel has ended as well
            await call


async def test_an_answer_that_was_sent_before_its_worker_died_counts():
    async with Pool(1) as pool:
        for number in range(1, 11):
            reply = await talk(pool, ECHO, "answer_and_die")
            assert (reply.items, reply.result) == ([(0, b"the answer")], "answered")
            async with asyncio.timeout(5):
                while pool.stats().replaced < number:
                    await asyncio.sleep(0)


async def test_a_worker_killed_while_it_is_sent_its_input_is_noticed():
    async with Pool(1) as pool:
        await talk(pool, ECHO, "flood", 1)
        [pid], [seat] = pool.pids(), pool._live
        os.kill(pid, signal.SIGSTOP)
        call = asyncio.create_task(talk(pool, ECHO, "run", (), [[bytes(4 << 20)]]))
        await until(lambda: seat.slot._executor._unsent)  # type: ignore[attr-defined]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(SlotDied):
            async with asyncio.timeout(5):
                await call
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"


async def test_exit_codes_are_right_while_others_start():
    async def die(pool, times):
        for _ in range(times):
            try:
                await talk(pool, ECHO, "die")
            except SlotDied as death:
                codes.append(death.exitcode)

    codes: list[int | None] = []
    async with Pool(4) as pool:
        await asyncio.gather(*(die(pool, 15) for _ in range(4)))
    assert codes == [-signal.SIGKILL] * 60


@pytest.mark.both_loops
async def test_an_idle_worker_that_dies_is_replaced_unasked():
    async with Pool(2) as pool:
        await until(lambda: pool.stats().idle == 2)
        before = pool.pids()
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: pool.stats().replaced == 1 and pool.stats().idle == 2)
        assert before[0] not in pool.pids()
        assert before[1] in pool.pids()


async def test_a_worker_that_dies_between_two_calls_is_told_at_the_next_one():
    async with Pool(1) as pool, pool.session(ECHO, "run") as session:
        await session.open([b"1"], last=False)
        os.kill(pool.pids()[0], signal.SIGKILL)
        await until(lambda: pool.stats().replaced == 1)
        with pytest.raises(SlotDied) as caught:
            await session.feed([b"2"])
        assert caught.value.exitcode == -signal.SIGKILL


async def test_sigterm_to_a_worker_leaves_the_hosts_handlers_silent():
    heard: list[str] = []
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.append, "SIGTERM")
    async with Pool(1) as pool:
        await talk(pool, ECHO, "flood", 1)
        async with pool.session(ECHO, "run") as session:
            await session.open([b"1"], last=False)
            os.kill(pool.pids()[0], signal.SIGTERM)
            await until(lambda: pool.stats().replaced == 1)
            with pytest.raises(SlotDied, match="SIGTERM"):
                await session.feed([b"2"])
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert not heard


async def test_a_hung_worker_that_holds_the_gil_is_killed_at_the_timeout(tmp_path):
    async with Pool(1) as pool:
        with pytest.raises(SlotTimeout) as caught:
            async with asyncio.timeout(5):
                await talk(pool, ECHO, "hang", str(tmp_path / "pid"), timeout=0.3)
        assert caught.value.seconds == 0.3
        pid = int((tmp_path / "pid").read_text())
        await until(lambda: not alive(pid), 1)
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"


async def test_the_timeout_bounds_all_calls_of_a_session_together():
    async with Pool(1) as pool:
        with pytest.raises(SlotTimeout):
            await talk(pool, ECHO, "flood", 10**9, timeout=0.3, reply_limit=1000)


async def test_killing_a_worker_kills_its_children(tmp_path):
    started = tmp_path / "pids"
    async with Pool(1) as pool:
        call = asyncio.create_task(talk(pool, ECHO, "parent_of_sleeper", str(started)))
        await until(started.exists)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        pids = [int(pid) for pid in started.read_text().split()]
        await until(lambda: not any(map(alive, pids)), 1)


async def test_the_children_of_a_worker_that_died_alone_die_too(tmp_path):
    started = tmp_path / "pids"
    async with Pool(1) as pool:
        call = asyncio.create_task(talk(pool, ECHO, "parent_of_sleeper", str(started)))
        await until(started.exists)
        worker, child = map(int, started.read_text().split())
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(SlotDied):
            await call
        await until(lambda: not alive(child), 1)


HOST = """
import asyncio, sys
from asyncmr.workers import Pool, Program
from tests.workers.programs import Echo
from tests.workers.talking import talk

async def main():
    async with Pool(2) as pool:
        async with asyncio.timeout(60):
            await talk(pool, Program(Echo()), "parent_of_sleeper", sys.argv[1])

if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
"""


async def test_no_worker_and_no_grandchild_survives_a_host_that_is_killed(tmp_path):
    started = tmp_path / "pids"
    host = await run_script(tmp_path / "host.py", HOST, str(started))
    await until(started.exists)
    left = _group_and(host.pid, started)
    os.kill(host.pid, signal.SIGKILL)
    await host.communicate()
    await until(lambda: not any(map(alive, left)), 2)


async def test_ctrl_c_to_the_group_brings_no_traceback_of_a_worker(tmp_path):
    started = tmp_path / "pids"
    host = await run_script(tmp_path / "host.py", HOST, str(started))
    await until(started.exists)
    left = _group_and(host.pid, started)
    os.killpg(host.pid, signal.SIGINT)
    out, err = await host.communicate()
    assert (host.returncode, out, err) == (130, b"", b"")
    await until(lambda: not any(map(alive, left)), 2)


def _group_and(host, started):
    """Every process that belongs to the host, grandchildren included."""
    import psutil

    found = {child.pid for child in psutil.Process(host).children(recursive=True)}
    named = set(map(int, started.read_text().split()))
    assert named <= found
    return found
