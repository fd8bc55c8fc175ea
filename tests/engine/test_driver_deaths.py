"""Scripts that run a job and are killed, interrupted or written without a main guard: nothing outlives them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

import asyncmr
from asyncmr import Engine, Job
from asyncmr.pipeline.limits import Limits
from tests.workers.talking import ROOT, alive, run_script, until

SPILLING = Limits(fused=0, shuffle=1)

# Maps a few megabytes, all of which must wait on disk; then the last records start children and never end.
DRIVER = """
import asyncio, os, signal, subprocess, sys
import asyncmr
from asyncmr.pipeline.limits import Limits

def mapper(_key, record):
    if record >= 300:
        child = subprocess.Popen(["sleep", "600"])
        with open(sys.argv[1], "a") as pids:
            pids.write(f"{os.getpid()} {child.pid}\\n")
        while True:
            signal.pause()
    yield record, "x" * 20_000

def reducer(key, values):
    yield from ((key, value) for value in values)

async def main():
    job = asyncmr.Job(mapper=mapper, reducer=reducer)
    limits = Limits(fused=0, shuffle=1)
    async with asyncmr.Engine(workers=2, spill_dir=sys.argv[2], limits=limits) as engine:
        await engine.collect(job, asyncmr.records(range(302), records_per_task=10))

def start():
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)

if __name__ == "__main__":
    start()
"""


@pytest.fixture
def spill(tmp_path):
    folder = tmp_path / "spill"
    folder.mkdir()
    return folder


async def mapping_driver(tmp_path: Path, spill: Path) -> tuple[asyncio.subprocess.Process, set[int]]:
    """A driver in the middle of its job, and the ids of all processes that belong to it."""
    pids = tmp_path / "pids"
    driver = await run_script(tmp_path / "driver.py", DRIVER, str(pids), str(spill))
    await until(lambda: driver.returncode is not None or spill_files(spill), 20)
    await until(lambda: driver.returncode is not None or (pids.exists() and "\n" in pids.read_text()), 20)
    assert driver.returncode is None, await driver.communicate()
    left = {child.pid for child in psutil.Process(driver.pid).children(recursive=True)}
    assert {int(pid) for pid in pids.read_text().split()} <= left
    return driver, left


def spill_files(spill: Path) -> list[Path]:
    return [path for path in spill.glob("asyncmr-*/*") if path.name != "lock"]


async def ended(driver: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await driver.communicate()
    return driver.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV])
async def test_the_death_of_a_driver_ends_its_workers_and_their_children_and_is_swept_up_after(
    tmp_path, spill, signum
):
    """SIGTERM and SIGHUP end a script that does not handle them, as SIGKILL does: without a chance to clean up."""
    driver, left = await mapping_driver(tmp_path, spill)
    driver.send_signal(signum)
    status, *_ = await ended(driver)
    assert status == -signum
    await until(lambda: not any(map(alive, left)), 3)
    assert spill_files(spill)
    async with Engine(workers=1, spill_dir=spill):
        assert list(spill.iterdir()) == []


async def test_no_engine_sweeps_what_a_live_driver_has(tmp_path, spill):
    driver, left = await mapping_driver(tmp_path, spill)
    before = spill_files(spill)
    async with Engine(workers=1, spill_dir=spill, limits=SPILLING) as engine:
        job = Job(mapper=lambda _, n: [(n, n)], reducer=lambda key, values: [(key, sum(values))])
        assert len(await engine.collect(job, asyncmr.records(range(10)))) == 10
    assert set(before) <= set(spill_files(spill))
    driver.kill()
    await ended(driver)
    await until(lambda: not any(map(alive, left)), 3)


async def test_ctrl_c_ends_a_script_without_a_word_from_its_workers(tmp_path, spill):
    driver, left = await mapping_driver(tmp_path, spill)
    os.killpg(driver.pid, signal.SIGINT)
    async with asyncio.timeout(5):
        assert await ended(driver) == (130, "", "")
    await until(lambda: not any(map(alive, left)), 3)
    assert list(spill.iterdir()) == []


async def test_a_script_without_a_main_guard_is_told_so(tmp_path, spill):
    unguarded = DRIVER.replace('if __name__ == "__main__":', "if True:")
    async with asyncio.timeout(20):
        driver = await run_script(tmp_path / "driver.py", unguarded, str(tmp_path / "pids"), str(spill))
        status, _, err = await ended(driver)
    assert status == 1
    assert any(line.startswith("asyncmr.errors.MainGuardError") for line in err.splitlines())
    assert 'if __name__ == "__main__":' in err
    assert err.count("Traceback") <= 2  # of the script itself, and of the cause
    assert list(spill.iterdir()) == []


SMALL = """
import asyncio
import asyncmr

class Word(str):
    pass

def mapper(_key, record):
    yield Word(record), 1

def reducer(key, values):
    yield key, type(key)(sum(values))

def start():
    result = asyncio.run(asyncmr.collect(JOB, asyncmr.records(["b", "a", "b"]), workers=1))
    print(sorted(result), sorted({type(key) for key, _ in result}) == [Word] and "as it was")

JOB = asyncmr.Job(mapper=mapper, reducer=reducer, sort=True)

if __name__ == "__main__":
    start()
"""


async def test_functions_and_classes_of_the_main_script_reach_the_workers_and_come_back(tmp_path):
    script = await run_script(tmp_path / "small.py", SMALL)
    assert await ended(script) == (0, "[('a', '1'), ('b', '2')] as it was\n", "")


async def test_functions_of_a_program_on_the_command_line_reach_the_workers_too():
    script = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SMALL, stdout=-1, stderr=-1, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert await ended(script) == (0, "[('a', '1'), ('b', '2')] as it was\n", "")
