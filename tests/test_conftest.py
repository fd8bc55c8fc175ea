"""The fixtures of conftest.py catch what they are there to catch: each bad test below must fail, and why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

BAD_AND_GOOD_TESTS = """
import asyncio, os, subprocess, sys, tempfile, threading, time
import pytest

kept = []

@pytest.fixture(scope="module", autouse=True)
def tidy_up_at_the_end():
    yield
    for undo in kept:
        undo()

async def test_task():
    kept.append(asyncio.create_task(asyncio.Event().wait()).cancel)

async def test_unheard_error():
    async def fail():
        raise ValueError("nobody awaits this")
    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0)

def test_process():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    kept.append(lambda: child.communicate())

def test_orphan():
    start = "import os, subprocess, sys; print(subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL).pid)"
    pid = int(subprocess.check_output([sys.executable, "-c", start]))
    kept.append(lambda: os.kill(pid, 9))

def test_mapping():
    import mmap
    fd = os.memfd_create("asyncmr-mapped")
    os.truncate(fd, 4096)
    kept.append(mmap.mmap(fd, 4096).close)
    os.close(fd)

def test_thread():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    thread.start()
    kept.append(stop.set)

def test_descriptor():
    read, write = os.pipe()
    kept.append(lambda: (os.close(read), os.close(write)))

def test_memfd():
    fd = os.memfd_create("asyncmr-test")
    kept.append(lambda: os.close(fd))

def test_folder():
    tempfile.mkdtemp(prefix="asyncmr-")

async def test_blocked_loop():
    time.sleep(0.8)

@pytest.mark.both_loops
async def test_blocked_loop_of_uvloop():
    time.sleep(0.8)

async def test_blocked_loop_by_c_code():
    sum(range(60_000_000))  # keeps the GIL, so that no thread can watch meanwhile

@pytest.mark.may_block_loop
async def test_good_blocks_on_purpose():
    time.sleep(0.8)

def test_good_but_slow_without_a_loop():
    time.sleep(0.8)

@pytest.mark.both_loops
async def test_good_loop():
    await asyncio.to_thread(print)
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    loop = asyncio.get_running_loop()
    print("loop is", type(loop).__module__.partition(".")[0])

def test_good_pool():
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        assert pool.submit(abs, -1).result() == 1
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the tests above come to: name -> the failure's message, or "" and what a good test printed."""
    folder = tmp_path_factory.mktemp("project")
    fixtures = Path(__file__).with_name("conftest.py").read_text()
    (folder / "conftest.py").write_text(fixtures.replace("GRACE_SECONDS = 3.0", "GRACE_SECONDS = 0.3"))
    (folder / "test_it.py").write_text(BAD_AND_GOOD_TESTS)
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "filterwarnings = error\njunit_logging = system-out\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=out.xml"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    return {
        case.get("name", ""): "".join(case.itertext())
        for case in ElementTree.parse(folder / "out.xml").iter("testcase")
    }


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("test_task", "the test left tasks"),
        ("test_unheard_error", "nobody awaits this"),
        ("test_process", "input()"),
        ("test_orphan", "sleep 60"),
        ("test_mapping", "/memfd:asyncmr-mapped"),
        ("test_thread", "thread forgotten"),
        ("test_descriptor", ": pipe:["),
        ("test_memfd", "/memfd:asyncmr-test"),
        ("test_folder", "/asyncmr-"),
        ("test_blocked_loop", "time.sleep(0.8)"),
        ("test_blocked_loop_of_uvloop[uvloop]", "time.sleep(0.8)"),
        ("test_blocked_loop_by_c_code", "the test blocked its loop"),
    ],
)
def test_a_bad_test_fails_and_says_why(outcome: dict[str, str], name: str, complaint: str):
    assert complaint in outcome[name]


@pytest.mark.parametrize(
    "name", ["test_good_blocks_on_purpose", "test_good_but_slow_without_a_loop", "test_good_pool"]
)
def test_a_good_test_passes(outcome: dict[str, str], name: str):
    assert "the test" not in outcome[name]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_both_loops_runs_on_each(outcome: dict[str, str], loop: str):
    assert f"loop is {loop}" in outcome[f"test_good_loop[{loop}]"]
    assert "the test" not in outcome[f"test_good_loop[{loop}]"]
