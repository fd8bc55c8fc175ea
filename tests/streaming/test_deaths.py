"""Workers, keepers and whole processes that are killed: every line counts once all the same."""

from __future__ import annotations

import asyncio
import json
import operator
import os
import signal
import sys
from collections import Counter
from functools import partial

import psutil
import pytest

from asyncmr import Job, WorkerDied
from asyncmr.streaming import Stream
from tests.streaming.feeds import Endless, Listed
from tests.workers.talking import ROOT, alive, run_script, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


async def kill_points(folder, *mutant):
    script = [sys.executable, "-m", "tests.streaming.kill_points", str(folder), *mutant]
    process = await asyncio.create_subprocess_exec(*script, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return json.loads(out)


async def test_killed_at_any_step_of_a_commit_a_stream_counts_every_line_once(tmp_path):
    told = await kill_points(tmp_path)
    assert told["kills"] > 60
    assert told["wrong"] == []


async def test_positions_in_a_transaction_of_their_own_are_caught(tmp_path):
    told = await kill_points(tmp_path, "two-transactions")
    assert {"committed-1", "positions-1"} <= set(told["wrong"])


async def test_a_file_that_keeps_what_was_not_committed_is_caught(tmp_path):
    told = await kill_points(tmp_path, "careless-file")
    assert {"written in part-1", "synced-1", "begin-2", "deltas-1"} <= set(told["wrong"])


async def test_keys_that_become_cold_in_a_transaction_of_their_own_are_caught(tmp_path):
    told = await kill_points(tmp_path, "two-moves")
    assert "moved-1" in told["wrong"]


def dying_mapper(marker):
    def mapper(_key, line):
        if line == "die" and not os.path.exists(marker):
            open(marker, "x").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return [(word, 1) for word in line.split()]

    return mapper


def dying_fold(marker, times):
    """Kills who adds up to 3, which is the keeper alone when each batch has a word once."""

    def fold(a, b):
        if a + b == 3 and len(os.listdir(marker)) < times:
            open(f"{marker}/{os.getpid()}", "x").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return a + b

    return fold


def words(_key, line):
    return [(word, 1) for word in line.split()]


async def test_a_worker_that_dies_loses_nothing(tmp_path):
    job = Job(mapper=dying_mapper(f"{tmp_path}/marker"), fold=operator.add)
    async with Stream(job, [Listed([b"a b\n", b"die\n", b"a\n"])], workers=1) as stream:
        await stream.join()
        assert dict(await stream.top(9)) == {"a": 2, "b": 1, "die": 1}
    assert os.path.exists(f"{tmp_path}/marker")


@pytest.mark.parametrize("state_memory", [None, 1])
async def test_a_keeper_that_dies_at_work_gets_back_what_was_committed_and_what_was_not(
    tmp_path, state_memory
):
    job = Job(mapper=words, fold=dying_fold(str(tmp_path), 2))
    feed = Listed([b"a b\n"] * 5)
    async with Stream(job, [feed], workers=1, keepers=2, state_memory=state_memory) as stream:
        await stream.join()
        assert dict(await stream.top(9)) == {"a": 5, "b": 5}
    assert len(os.listdir(tmp_path)) == 2


async def test_a_keeper_that_dies_too_often_ends_the_stream(tmp_path):
    job = Job(mapper=words, fold=dying_fold(str(tmp_path), 9))
    with pytest.raises(WorkerDied, match="the worker that keeps the state died in 2 attempts in a row"):
        async with Stream(job, [Listed([b"a\n"] * 5)], workers=1, retries=1) as stream:
            await stream.join()


async def test_all_its_processes_killed_between_two_questions_a_stream_answers(tmp_path):
    feed = Endless(b"a b\n" * 100, b"a\n")
    job = Job(mapper=words, fold=operator.add)
    async with Stream(job, [feed], workers=1) as stream:
        await feed.durable.wait()
        here = psutil.Process()
        direct = here.children()  # the forkserver, whose children are the workers
        for worker in set(here.children(recursive=True)) - set(direct):
            worker.kill()
        assert await stream.top(2) == [("a", 101), ("b", 100)]


def none_alive(pids):
    return not any(map(alive, pids))


def hanging(marker):
    def mapper(_key, line):
        open(marker, "w").close()
        while True:
            signal.pause()

    return mapper


async def test_a_stream_that_is_cancelled_is_gone_within_a_second(tmp_path):
    marker = tmp_path / "marker"
    job = Job(mapper=hanging(str(marker)), fold=operator.add)

    async def run():
        async with Stream(job, [Endless(b"a\n")], workers=1) as stream:
            await stream.join()

    task = asyncio.create_task(run())
    await until(marker.exists)
    task.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await task


SCRIPT = """
import asyncio, operator, sys
from asyncmr import Job
from asyncmr.streaming import Stream
from tests.streaming.feeds import Listed

def words(_key, line):
    return [(word, 1) for word in line.split()]

BATCHES = [f"w{n % 3} w{n % 5} all\\n".encode() * 2000 for n in range(40)]

async def main(folder, workers, keepers):
    job = Job(mapper=words, fold=operator.add)
    feed = Listed(BATCHES, [1, 3, 2])
    async with Stream(job, [feed], state=folder, workers=workers, keepers=keepers, interval=0.01) as stream:
        async for update in stream:
            print(update.epoch, flush=True)
        print(sorted(await stream.top(100)), flush=True)

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


async def test_a_stream_killed_with_its_host_goes_on_with_another_number_of_processes(tmp_path):
    oracle = Counter[str]()
    for n in range(40):
        oracle.update({f"w{n % 3}": 2000})
        oracle.update({f"w{n % 5}": 2000})
        oracle.update({"all": 2000})
    for workers, keepers, epochs in ((2, 1, 5), (1, 2, 5)):
        process = await run_script(
            tmp_path / "script.py", SCRIPT, str(tmp_path / "state"), str(workers), str(keepers)
        )
        assert process.stdout is not None
        for _ in range(epochs):
            await process.stdout.readline()
        pids = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        process.kill()
        await process.wait()
        await until(partial(none_alive, pids))
    process = await run_script(tmp_path / "script.py", SCRIPT, str(tmp_path / "state"), "2", "3")
    out, _ = await process.communicate()
    assert out.decode().splitlines()[-1] == str(sorted(oracle.items()))
