"""What a run leaves in its process, beside files."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asyncmr.storage.folder import LOCK

_FOLDER = "/proc/self/fd"


def open_things() -> set[str]:
    """Descriptors and threads of this process."""
    threads = {thread.name for thread in threading.enumerate()}
    return threads | {f"descriptor {fd}: {path}" for fd, path in _descriptors()}


def _descriptors() -> Iterator[tuple[int, str]]:
    """Open files, pipes and the like, but for the one that lists them."""
    if os.path.isdir(_FOLDER):
        for fd in map(int, os.listdir(_FOLDER)):
            with suppress(OSError):
                yield fd, os.readlink(f"{_FOLDER}/{fd}")


def release_locks_in(folder: Path) -> None:
    """As the kernel does when a process dies."""
    for fd, path in _descriptors():
        if path.startswith(f"{folder}/") and path.endswith(f"/{LOCK}"):
            os.close(fd)


def close_files_in(folder: Path) -> None:
    """After a broken promise: what the garbage collector would not close."""
    gc.collect()
    for fd, path in _descriptors():
        if path.startswith(f"{folder}/"):
            os.close(fd)


@contextmanager
def hearing() -> Iterator[list[str]]:
    """Collects what only the interpreter would hear of: warnings, and errors in destructors."""
    heard: list[str] = []
    hook, log = sys.unraisablehook, logging.getLogger("asyncmr")
    log.disabled = True  # what could not be deleted is found by the check at the end
    sys.unraisablehook = lambda error: heard.append(
        f"{error.err_msg}: {error.exc_value!r} in {error.object!r}"
    )
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                yield heard
            finally:
                gc.collect()
        heard += [str(warning.message) for warning in warned]
    finally:
        sys.unraisablehook = hook
        log.disabled = False
