"""The pool shares its workers out fairly, survives cancellation, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import random

import anyio
import pytest

from asyncmr.errors import ClosedError, UsageError
from asyncmr.workers import Account, Pool, Program
from asyncmr.workers.fairness import FairQueue
from tests.workers.programs import Echo
from tests.workers.talking import alive, run_script, talk, until

ECHO = Program(Echo())


async def test_the_account_that_used_least_goes_first():
    greedy, modest = Account("greedy"), Account("modest")
    greedy.used_seconds, modest.used_seconds = 10.0, 1.0
    served: list[str] = []

    async def one(account):
        async with pool.session(ECHO, "run", account=account) as session:
            served.append(account.name)
            await session.open()

    async with Pool(1, "inline") as pool, anyio.create_task_group() as group, pool.session(ECHO, "run"):
        for account in (greedy, greedy, modest, modest):
            group.start_soon(one, account)
        await until(lambda: pool.stats().waiting == 4)
    assert served == ["modest", "modest", "greedy", "greedy"]


async def test_within_an_account_the_first_come_is_first_served():
    queue: FairQueue[None] = FairQueue()
    account = Account()
    waiters = [queue.join(account) for _ in range(3)]
    queue.leave(account, waiters[1])
    assert [queue.pop(), queue.pop(), queue.pop()] == [waiters[0], waiters[2], None]


async def test_a_fresh_account_starts_level_and_does_not_starve_an_old_one():
    queue: FairQueue[None] = FairQueue()
    old, fresh = Account("old"), Account("fresh")
    old.used_seconds = 100.0
    queue.serve(old)
    old.used_seconds += 1.0
    waiters = {queue.join(account): account for account in (fresh, fresh, fresh, old, old)}
    served = []
    while (waiter := queue.pop()) is not None:
        served.append(waiters[waiter].name)
        waiters[waiter].used_seconds += 2.0
    assert served == ["fresh", "old", "fresh", "old", "fresh"]


async def test_an_account_that_was_idle_has_not_saved_up():
    queue: FairQueue[None] = FairQueue()
    busy, back = Account("busy"), Account("back")
    queue.serve(back)
    busy.used_seconds = 50.0
    queue.serve(busy)
    queue.serve(back)
    assert back.used(0.0) == 50.0
    assert back.used_seconds == 0.0


def test_a_call_that_still_runs_counts_as_used():
    account = Account()
    account.begin(100.0)
    assert account.used(107.0) == 7.0
    account.end(100.0, 108.0)
    assert (account.used(200.0), account.used_seconds) == (8.0, 8.0)


async def test_sessions_are_charged_to_their_account(tmp_path):
    account = Account()
    async with Pool(1, "thread") as pool:
        call = asyncio.create_task(talk(pool, ECHO, "wait", str(tmp_path / "go"), account=account))
        await until(lambda: account.used(asyncio.get_running_loop().time()) > 0.01)
        (tmp_path / "go").touch()
        await call
    assert account.used_seconds > 0.01


async def test_a_worker_that_knows_the_program_is_preferred():
    async with Pool(2) as pool:
        await until(lambda: pool.stats().idle == 2)
        pids = {(await talk(pool, ECHO, "where")).result for _ in range(10)}
        assert len(pids) == 1


async def test_all_workers_run_at_once(tmp_path):
    """Each waits for a file that is only made when both are busy."""
    async with Pool(2) as pool:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(talk, pool, ECHO, "wait", str(tmp_path / "go"))
            await until(lambda: pool.stats().busy == 2)
            (tmp_path / "go").touch()
        assert pool.stats().idle == 2


async def test_a_cancelled_wait_gives_up_its_turn():
    async with Pool(1, "inline") as pool:
        async with pool.session(ECHO, "run"):
            first = asyncio.create_task(talk(pool, ECHO, "flood", 1))
            second = asyncio.create_task(talk(pool, ECHO, "flood", 2))
            await until(lambda: pool.stats().waiting == 2)
            first.cancel()
            await until(first.done)
            assert pool.stats().waiting == 1
        assert len((await second).items) == 2


async def test_a_worker_handed_to_a_cancelled_wait_is_not_lost():
    async with Pool(1, "inline") as pool:
        async with pool.session(ECHO, "run"):
            call = asyncio.create_task(talk(pool, ECHO, "flood", 1))
            await until(lambda: pool.stats().waiting == 1)
        call.cancel()  # the worker is on its way to it
        await until(call.done)
        assert call.cancelled()
        assert pool.stats().idle == 1


@pytest.mark.parametrize("executor", ["process", "thread"])
async def test_cancelled_at_any_point_a_session_frees_its_worker(executor):
    """Cancels after a growing number of turns of the loop, in the waits for worker, replies and rounds."""
    async with Pool(1, executor) as pool:
        for seed in range(50):
            turns = random.Random(seed).randrange(60)
            call = asyncio.create_task(talk(pool, ECHO, "run", (), [[b"x"]] * 10))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            async with asyncio.timeout(1):
                await asyncio.wait({call})
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"
        await until(lambda: pool.stats().idle == 1)


async def test_cancelling_a_running_call_kills_its_worker_at_once(tmp_path):
    async with Pool(1) as pool:
        call = asyncio.create_task(talk(pool, ECHO, "hang", str(tmp_path / "pid")))
        await until((tmp_path / "pid").exists)
        pid = int((tmp_path / "pid").read_text())
        call.cancel()
        async with asyncio.timeout(1):
            await asyncio.wait({call})
        await until(lambda: not alive(pid), 1)
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"
        assert pool.stats().replaced == 1


async def test_a_generator_that_refuses_to_close_is_killed():
    async with Pool(1) as pool:
        async with pool.session(ECHO, "stubborn", reply_limit=1) as session:
            await session.open()
        await until(lambda: pool.stats().replaced == 1, 3)
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"


async def test_leaving_the_pool_fails_who_waits_and_who_runs(tmp_path):
    pool = Pool(1)
    async with pool:
        running = asyncio.create_task(talk(pool, ECHO, "hang", str(tmp_path / "pid")))
        await until((tmp_path / "pid").exists)
        waiting = asyncio.create_task(talk(pool, ECHO, "run"))
        await until(lambda: pool.stats().waiting == 1)
    for call in (running, waiting):
        with pytest.raises(ClosedError):
            await call
    with pytest.raises(ClosedError):
        await talk(pool, ECHO, "run")


@pytest.mark.both_loops
@pytest.mark.parametrize("turns", [0, 1, 3, 10, 100])
async def test_a_pool_left_while_it_starts_leaves_nothing(turns):
    async with Pool(3) as pool:
        for _ in range(turns):
            await asyncio.sleep(0)
    assert pool.stats()[1:4] == (0, 0, 0)


async def test_a_cancelled_leave_still_ends_every_worker():
    async def use():
        async with Pool(2) as pool:
            pools.append(pool)
            await until(lambda: pool.stats().idle == 2)
            pids.extend(pool.pids())
            ready.set()
            await asyncio.Event().wait()

    pools: list[Pool] = []
    pids: list[int] = []
    ready = asyncio.Event()
    task = asyncio.create_task(use())
    await ready.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # now it waits for its workers
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(map(alive, pids))


async def test_a_thread_that_was_abandoned_is_replaced_and_waited_for(tmp_path):
    async with Pool(1, "thread") as pool:
        call = asyncio.create_task(talk(pool, ECHO, "wait", str(tmp_path / "go")))
        await until(lambda: pool.stats().busy == 1)
        call.cancel()
        async with asyncio.timeout(1):
            await asyncio.wait({call})
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"
        (tmp_path / "go").touch()


async def test_a_thread_that_never_ends_is_logged_when_the_pool_is_left(tmp_path, caplog):
    async with Pool(1, "thread") as pool:
        call = asyncio.create_task(talk(pool, ECHO, "wait", str(tmp_path / "go"), timeout=0.05))
        await asyncio.wait({call})
    assert "a thread cannot be killed" in caplog.text
    assert "0.05 s" in str(call.exception())
    (tmp_path / "go").touch()


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"workers": 1, "executor": "cluster"}])
def test_arguments_that_cannot_work_are_refused(arguments):
    with pytest.raises(UsageError):
        Pool(**arguments)


SCRIPT = """
import asyncio, sys
from asyncmr.workers import Pool, Program
from tests.workers.programs import Echo
from tests.workers.talking import talk

async def main():
    async with Pool(2) as pool:
        print((await talk(pool, Program(Echo()), "flood", 1)).result)
"""


async def test_a_script_without_a_main_guard_is_told_so(tmp_path):
    script = await run_script(tmp_path / "job.py", SCRIPT + "asyncio.run(main())\n")
    async with asyncio.timeout(20):
        out, err = await script.communicate()
    assert (script.returncode, out) == (1, b"")
    assert b"MainGuardError" in err
    assert b'if __name__ == "__main__":' in err
    assert err.count(b"Traceback") == err.count(b"direct cause") + 1  # the host's, and none of a worker


async def test_a_script_that_its_workers_cannot_import_is_a_start_error(tmp_path):
    text = SCRIPT + "if __name__ == '__main__':\n    asyncio.run(main())\nelse:\n    import no_such_module\n"
    script = await run_script(tmp_path / "job.py", text)
    async with asyncio.timeout(20):
        _, err = await script.communicate()
    assert b"asyncmr.errors.PoolStartError" in err
    assert b"no_such_module" in err


async def test_modules_that_the_application_preloads_stay_preloaded(tmp_path):
    text = SCRIPT + (
        "if __name__ == '__main__':\n"
        "    import multiprocessing, multiprocessing.forkserver as forkserver\n"
        "    multiprocessing.set_forkserver_preload(['__main__', 'json'])\n"
        "    asyncio.run(main())\n"
        "    print(forkserver._forkserver._preload_modules[:2])\n"
    )
    script = await run_script(tmp_path / "job.py", text)
    out, _ = await script.communicate()
    assert out.decode().splitlines() == ["flooded", "['__main__', 'json']"]


async def test_a_worker_imports_neither_asyncio_nor_the_host_side():
    text = "import sys, asyncmr.workers.entry; print(*sorted(sys.modules))"
    import sys as host

    from tests.workers.talking import ROOT

    child = await asyncio.create_subprocess_exec(
        host.executable, "-c", text, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    modules = set(out.decode().split())
    assert "asyncmr.workers.worker" in modules
    assert not modules & {"asyncio", "anyio", "cloudpickle", "aiofiles", "uvloop", "asyncmr.workers.pool"}
