"""An engine in a memory cgroup says what does not fit there before the kernel does."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from tests.engine.memory_cgroup import memory_cgroup

SCRIPT = textwrap.dedent(
    """
    import os, sys
    with open(sys.argv[1], "w") as file:
        file.write(str(os.getpid()))
    import asyncmr
    try:
        asyncmr.Engine(workers=2, **eval(sys.argv[2]))
    except asyncmr.MemoryBudgetError as error:
        sys.stdout.write(str(error))
    """
)


def complaint(limit: int, **arguments: object) -> str:
    with memory_cgroup(limit) as entrance:
        command = [sys.executable, "-c", SCRIPT, str(entrance), repr(arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_more_than_the_limit_is_refused():
    said = complaint(512 << 20, memory="513 MiB")
    assert "memory=537,919,488 bytes" in said
    assert "(512 MiB)" in said
    assert complaint(512 << 20, memory="500 MiB") == ""


def test_a_limit_too_small_for_the_default_is_named_with_what_is_needed():
    said = complaint(100 << 20)
    assert "too little for 2 workers, which need" in said
    assert "the default is half of what its memory cgroup allows (100 MiB)" in said
