"""What a run leaves in its process, beside files."""

from __future__ import annotations

import fcntl
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


Identity = tuple[object, ...]


def open_things() -> dict[Identity, str]:
    """Descriptors and threads of this process: what each is called now. A file that is renamed stays the same."""
    found: dict[Identity, str] = {("thread", thread.ident): thread.name for thread in threading.enumerate()}
    for fd, path in _descriptors():
        with suppress(OSError):
            status = os.fstat(fd)
            found[fd, status.st_dev, status.st_ino] = f"descriptor {fd}: {path}"
    return found


def left_open(before: dict[Identity, str], dead: dict[Identity, str]) -> list[str]:
    """What is open that was not before, and was not left so by a process that was killed, as complaints."""
    left = {identity: name for identity, name in open_things().items() if identity not in before}
    return [f"left open: {name}" for identity, name in sorted(left.items(), key=str) if identity not in dead]


def _descriptors() -> Iterator[tuple[int, str]]:
    """Open files, pipes and the like, but for the one that lists them."""
    if os.path.isdir(_FOLDER):
        for fd in map(int, os.listdir(_FOLDER)):
            with suppress(OSError):
                yield fd, os.readlink(f"{_FOLDER}/{fd}")


def release_locks_in(folder: Path) -> None:
    """As the kernel does when a process dies."""
    for fd, path in _descriptors():
        if path.startswith(f"{folder}/") and path.endswith((f"/{LOCK}", ".jsonl")):
            fcntl.flock(fd, fcntl.LOCK_UN)


def close_files_in(folder: Path) -> None:
    """What the garbage collector would not close: after a broken promise, or of a process that was killed."""
    gc.collect()
    for fd, path in _descriptors():
        if path.startswith(f"{folder}/"):
            os.close(fd)


@contextmanager
def hearing() -> Iterator[list[str]]:
    """Collects what only the interpreter would hear of: warnings, and errors in destructors."""
    heard: list[str] = []
    hook, log = sys.unraisablehook, logging.getLogger("asyncmr")
    # What could not be deleted is found by the check at the end.
    silence = logging.NullHandler()
    log.addHandler(silence)
    log.propagate = False
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
        log.removeHandler(silence)
        log.propagate = True
