"""A real memory cgroup, version 1 or 2."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MOUNT = Path("/sys/fs/cgroup")


@contextmanager
def memory_cgroup(limit: int) -> Iterator[Path]:
    """A memory cgroup of `limit` bytes; gives the file that a process writes its id to in order to enter."""
    first = (_MOUNT / "memory").is_dir()
    folder = _MOUNT / ("memory" if first else "") / f"asyncmr-test-{secrets.token_hex(4)}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"cannot make a memory cgroup here: {error}")
    try:
        try:
            (folder / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"cannot limit the memory of a cgroup here: {error}")
        yield folder / "cgroup.procs"
    finally:
        deadline = time.monotonic() + 10
        while True:
            try:
                os.rmdir(folder)
            except OSError:  # helpers of multiprocessing end a moment after the process that they helped
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return
