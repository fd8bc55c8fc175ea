"""A process that starts one command, watches its whole tree until nothing of it is left, and prints what it took.

It is a process of its own because it makes itself the subreaper of the tree: orphans become its children, so that it
can count their processor time and end those that stay. The kernel adds up the time of everybody who is waited for; a
process that ignores SIGCHLD leaves children for whom nobody waits, and of these the samples know more. The greater of
both is taken.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

from benchmarks.tree import descendants, pss

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36  # of prctl(2)
# Reading PSS walks page tables and holds up page faults meanwhile: samples may take 5% of one processor.
_SHARE, _LEAST_INTERVAL = 20, 0.02


class Watch:
    """The peak memory and the processor time of a tree, from samples."""

    def __init__(self) -> None:
        self.peak = 0
        self.samples = 0
        self._seconds: dict[tuple[int, int], float] = {}

    def look(self) -> tuple[int, float]:
        """Takes a sample: the bytes of PSS now, and the seconds to wait until the next one."""
        begin = time.process_time()
        size = 0
        for process in descendants(os.getpid()):
            size += pss(process.pid)
            self._seconds[process.pid, process.started] = process.own
        self.peak = max(self.peak, size)
        self.samples += 1
        return size, max(_LEAST_INTERVAL, _SHARE * (time.process_time() - begin))

    @property
    def cpu(self) -> float:
        return sum(self._seconds.values())


def watch(command: list[str], log: str, timeout: float, limit: int | None, grace: float) -> dict[str, object]:
    """Runs a command; kills it when it takes longer than `timeout` seconds or its tree more than `limit` bytes.

    What the command leaves behind is killed after `grace` seconds.
    """
    seen, killed = Watch(), ""
    with open(log, "ab") as file:
        begin = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    ended = select.poll()
    descriptor = os.pidfd_open(child.pid)
    ended.register(descriptor, select.POLLIN)
    wait = _LEAST_INTERVAL
    while not ended.poll(wait * 1000):
        size, wait = seen.look()
        if time.perf_counter() - begin > timeout:
            killed = f"killed after {timeout:.0f} s"
        elif limit is not None and size > limit:
            killed = f"killed at {size / 2**20:.0f} MiB"
        if killed:
            _kill()
            break
    child.wait()
    wall = time.perf_counter() - begin
    os.close(descriptor)
    left = _clear(seen, grace)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited_for = used.ru_utime + used.ru_stime
    return {
        "wall": wall,
        "cpu": max(waited_for, seen.cpu),
        "sampled": seen.cpu > waited_for + 0.1,
        "peak": seen.peak,
        "samples": seen.samples,
        "exit": child.returncode,
        "killed": killed,
        "left": left,
    }


def _kill() -> None:
    for process in descendants(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def _clear(seen: Watch, grace: float) -> int:
    """Waits for orphans, then kills them. Returns how many had to be killed."""
    deadline, killed = time.monotonic() + grace, 0
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return killed
        seen.look()
        if time.monotonic() > deadline:
            killed = max(killed, len(descendants(os.getpid())))
            _kill()
        time.sleep(0.01)


def _stop(*_: object) -> None:
    _kill()
    os._exit(1)


def main() -> None:
    """Runs what the JSON object in the last argument describes, and prints a JSON object."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_SET_SUBREAPER, 1, 0, 0, 0) or prctl(_SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl: the benchmark needs Linux, to see orphaned processes")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    print(json.dumps(watch(**json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
