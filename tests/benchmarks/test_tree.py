"""What is read of a tree of processes from /proc."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.tree import descendants, process, pss

SIZE = 48 << 20
# Says when it is ready, and ends when its standard input does.
CHILD = "import sys; data = bytearray(b'x') * {size}; print('ready', flush=True); sys.stdin.read()"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


@contextmanager
def running(*arguments: str) -> Iterator[int]:
    """A Python process that has said that it is ready."""
    command = [sys.executable, "-c", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child.pid
        assert child.stdin is not None
        child.stdin.close()


def test_the_size_of_a_process_has_what_it_allocated():
    with running(CHILD.format(size=1)) as small, running(CHILD.format(size=SIZE)) as large:
        assert pss(small) < SIZE <= pss(large) < 2 * SIZE


def test_grandchildren_are_descendants_and_neighbours_are_not():
    with running(PARENT, CHILD.format(size=1)) as parent:
        (grandchild,) = descendants(parent)
        assert grandchild.parent == parent
        below = {found.pid for found in descendants(os.getpid())}
        assert {parent, grandchild.pid} <= below
        assert os.getpid() not in below


def test_a_process_that_is_gone_has_no_size_and_no_times():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert process(child.pid) is None
    assert pss(child.pid) == 0
