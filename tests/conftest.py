"""What every test of the project is held to, beside its own assertions.

- It leaves nothing behind: no asyncio task, thread, open file, mapping of shared memory or of a semaphore, no
  asyncmr-* file or folder, no process, not even one whose parent has died, and no error that only the event loop
  heard of. What goes away within seconds (a process being reaped, say) does not count.
- An async test does not block its loop for more than half a second, unless marked `may_block_loop`.
- An async test marked `both_loops` runs twice, on the default loop and on uvloop.

The forkserver and the resource tracker of multiprocessing may stay, with their descriptors.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.util import Finalize
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
import uvloop

GRACE_SECONDS = 3.0
# Far above what a slow machine adds to a callback (tens of milliseconds), far below a real blocking call.
BLOCKED_SECONDS = 0.5

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_loops: run this async test on the default loop and on uvloop")
    config.addinivalue_line("markers", "may_block_loop: this async test blocks its loop on purpose")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, LoopFactory]:
    factories: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    if item.get_closest_marker("both_loops"):
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for this session's temporary files, so that leftovers are ours and not a neighbour's."""
    tmp_path_factory.getbasetemp()  # pytest's own folder stays where users look for it
    # Not below pytest's folder: the path of a UNIX socket has room for 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="amr-"))
    patch = pytest.MonkeyPatch()
    patch.setenv("TMPDIR", str(folder))
    patch.setattr(tempfile, "tempdir", str(folder))
    # After multiprocessing has removed its own folder in here, at priority -100 when the interpreter ends.
    Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-200)
    yield folder
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def uvloop_has_started() -> None:
    """The first uvloop of a process opens a pipe that stays open."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.sleep(0))


@pytest.fixture(autouse=True)
def leaves_nothing_open(temporary_folder: Path) -> Iterator[None]:
    """Fails a test that leaves a process, thread, descriptor or temporary file.

    Set up before the event loop and the test's own fixtures, so that it looks when they are closed.
    """
    before = open_things().keys()
    yield
    if not open_things().keys() - before:
        return
    gc.collect()  # a descriptor may hang on a reference cycle; collected, its own ResourceWarning names it
    deadline = time.monotonic() + GRACE_SECONDS
    while left := {thing: text for thing, text in open_things().items() if thing not in before}:
        if time.monotonic() > deadline:
            pytest.fail(
                "the test left behind:\n" + "\n".join(f"  {text}" for text in left.values()), pytrace=False
            )
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def leaves_loop_clean(leaves_nothing_open: None, request: pytest.FixtureRequest) -> None:
    """Watches the loop of an async test, if it is one."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("_watched_loop")


@pytest_asyncio.fixture
async def _watched_loop(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    unheard: list[str] = []
    loop.set_exception_handler(lambda _, context: unheard.append(f"{context['message']}: {context!r}"))
    watch = LoopWatch(loop)
    watch.start()
    yield
    watch.stop()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    if left:
        pytest.fail("the test left tasks:\n" + "\n".join(f"  {task!r}" for task in left), pytrace=False)
    if unheard:
        pytest.fail("only the loop heard of:\n" + "\n".join(f"  {error}" for error in unheard), pytrace=False)
    if watch.blocked_at and not request.node.get_closest_marker("may_block_loop"):
        pytest.fail(
            f"the test blocked its loop for more than {BLOCKED_SECONDS} s, here:\n{watch.blocked_at}",
            pytrace=False,
        )


class LoopWatch:
    """A thread that asks a running loop for a sign of life, and notes the loop's stack when none comes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.blocked_at = ""
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        alive = threading.Event()
        alive.set()
        asked = ticked = time.monotonic()
        running = True
        while not self._stopped.wait(0.05):
            now, was_running, running = time.monotonic(), running, self._loop.is_running()
            if not running or not was_running:
                alive.set()  # a loop that is stopped (between two fixtures or examples) owes no answer
            elif now - ticked > BLOCKED_SECONDS or (not alive.is_set() and now - asked > BLOCKED_SECONDS):
                # A late tick means that somebody kept the GIL, from this thread as from the loop.
                frame = sys._current_frames()[self._loop_thread]
                self.blocked_at = "".join(traceback.format_stack(frame)[-8:])
                return
            elif alive.is_set():
                alive, asked = threading.Event(), now
                self._loop.call_soon_threadsafe(alive.set)
            ticked = now


def open_things() -> dict[object, str]:
    """What is open now: what identifies it, and how to call it in a message."""
    return {**_descriptors(), **_threads(), **_processes(), **_files(), **_mappings()}


def _descriptors() -> dict[object, str]:
    kept = {
        forkserver._forkserver._forkserver_alive_fd,  # type: ignore[attr-defined]
        resource_tracker._resource_tracker._fd,  # type: ignore[attr-defined]
    }
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    found: dict[object, str] = {}
    for name in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:  # the one that listed the folder
            continue
        except OSError:
            target = "?"
        if int(name) not in kept:
            found["descriptor", name, target] = f"descriptor {name}: {target}"
    return found


def _threads() -> dict[object, str]:
    # Those of a loop's default executor live as long as their loop, which may be the session's.
    return {t: f"thread {t.name}" for t in threading.enumerate() if not t.name.startswith("asyncio_")}


def _processes() -> dict[object, str]:
    kept = {
        forkserver._forkserver._forkserver_pid,  # type: ignore[attr-defined]
        resource_tracker._resource_tracker._pid,  # type: ignore[attr-defined]
    }
    found: dict[object, str] = {}
    for process in (*psutil.Process().children(recursive=True), *_orphans()):
        if process.pid not in kept:
            try:
                command = " ".join(process.cmdline())
            except psutil.Error:
                command = "(ended, but not waited for)"
            found[process] = f"process {process.pid}: {command}"
    return found


def _orphans() -> Iterator[psutil.Process]:
    """Processes of this session that now belong to init: they inherited where temporary files go."""
    mark = f"TMPDIR={tempfile.gettempdir()}\0".encode()
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else ()):
        try:
            if int(name) != os.getpid() and mark in Path("/proc", name, "environ").read_bytes():
                yield psutil.Process(int(name))
        except (OSError, psutil.Error):  # it ended meanwhile, or is somebody else's
            continue


def _mappings() -> dict[object, str]:
    """Shared memory that this process maps: segments, which have no name, and semaphores of multiprocessing."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return {}
    shared = [line.split(maxsplit=5) for line in lines if "/memfd:" in line or "/dev/shm/" in line]
    return {("mapping", line[0], line[-1]): f"mapping {line[0]}: {line[-1]}" for line in shared}


def _files() -> dict[object, str]:
    folders = (tempfile.gettempdir(), "/dev/shm")
    return {path: f"file {path}" for folder in folders for path in Path(folder).glob("asyncmr-*")}
