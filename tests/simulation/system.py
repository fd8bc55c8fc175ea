"""The system that a simulated job runs on: system calls that may fail or come out short, virtual clocks, tiny sizes.

These names of the operating system and these constants are replaced while a run lasts. Everything above them is the
engine itself.
"""

from __future__ import annotations

import builtins
import io
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from aiofiles import threadpool

from tests.simulation.databases import connecting
from tests.simulation.faults import Faults
from tests.simulation.loop import SimulatedLoop

_MADE = {"mkdir": "make", "rename": "rename", "unlink": "remove", "rmdir": "remove"}
_HOST_CLOCKS = (
    "workers.session.monotonic",
    "workers.fairness.monotonic",
    "pipeline.ledger.perf_counter",
    "pipeline.suspects.monotonic",
    "kernel.marks.monotonic",  # the same for all processes of a machine
)
_WORKER_CLOCKS = (
    "kernel.mapping.perf_counter",
    "kernel.batching.perf_counter",
    "kernel.program.perf_counter",
)


@contextmanager
def simulated_system(loop: SimulatedLoop, faults: Faults, sizes: Mapping[str, int]) -> Iterator[None]:
    """`sizes`: the values of constants of the engine, such as `storage.spill.WRITE_BYTES`."""
    replaced: list[tuple[Any, str, Any]] = [
        *((os, name, _checked(faults, kind, name)) for name, kind in _MADE.items()),
        (os, "open", _opens(faults)),
        (os, "pread", _pread(faults)),
        (os, "preadv", _flipping(faults, _transfers(faults, "read", "preadv"))),
        (os, "pwritev", _transfers(faults, "write", "pwritev")),
        (sqlite3, "connect", connecting(faults)),
        (builtins, "open", opens := _opens_files(faults)),
        (threadpool, "sync_open", opens),
        *((*_place(name), loop.time) for name in _HOST_CLOCKS),
        *((*_place(name), faults.worker_clock) for name in _WORKER_CLOCKS),
        *((*_place(name), size) for name, size in sizes.items()),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in replaced]
    for place, name, value in replaced:
        setattr(place, name, value)
    try:
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def _place(path: str) -> tuple[Any, str]:
    module, _, name = path.rpartition(".")
    place = import_module(f"asyncmr.{module}")
    if not hasattr(place, name):
        raise AttributeError(f"asyncmr.{path} is no more: the simulation must follow")
    return place, name


def _checked(faults: Faults, kind: str, name: str) -> Callable[..., Any]:
    real = getattr(os, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        faults.system_call(kind, name)
        result = real(*args, **kwargs)
        faults.after_call(name)
        return result

    return call


def _opens(faults: Faults) -> Callable[..., int]:
    real = os.open

    def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        # What is not made here is a folder that is about to be removed.
        faults.system_call("make" if flags & os.O_CREAT else "remove", "open")
        return real(path, flags, *args, **kwargs)

    return call


def _pread(faults: Faults) -> Callable[..., bytes]:
    real = os.pread

    def call(fd: int, size: int, offset: int) -> bytes:
        faults.system_call("read", "pread")
        data = bytearray(real(fd, faults.transferred(size, "pread"), offset))
        if data and faults.flips("pread"):
            data[0] ^= 1
        return bytes(data)

    return call


def _transfers(faults: Faults, kind: str, name: str) -> Callable[..., int]:
    real = getattr(os, name)

    def call(fd: int, buffers: list[Any], offset: int) -> int:
        faults.system_call(kind, name)
        size = sum(map(len, buffers))
        wanted = faults.transferred(size, name)
        if wanted == size:
            return int(real(fd, buffers, offset))
        part: list[memoryview] = []
        try:
            for buffer in buffers:
                part.append(memoryview(buffer)[:wanted])
                wanted -= len(part[-1])
            return int(real(fd, part, offset))
        finally:
            for view in part:
                view.release()

    return call


def _flipping(faults: Faults, read: Callable[..., int]) -> Callable[..., int]:
    def call(fd: int, buffers: list[Any], offset: int) -> int:
        got = read(fd, buffers, offset)
        if got and faults.flips("preadv"):
            buffers[0][0] ^= 1
        return got

    return call


def _opens_files(faults: Faults) -> Callable[..., Any]:
    real = builtins.open

    class File(io.FileIO):
        def write(self, data: Any) -> int:
            faults.system_call("write", "write")
            with memoryview(data) as view, view[: faults.transferred(len(view), "write")] as part:
                return super().write(part)

        def readinto(self, buffer: Any) -> int:
            faults.system_call("read", "read")
            with memoryview(buffer) as view, view[: faults.transferred(len(view), "read")] as part:
                return super().readinto(part)

        def close(self) -> None:
            was_open = not self.closed
            super().close()
            if was_open and self.writable_once:
                faults.system_call("write", "close")

        writable_once = False

    def call(path: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        if "b" not in mode or args or kwargs.keys() - {"opener"}:
            return real(path, mode, buffering, *args, **kwargs)
        makes = mode[0] in "awx"
        faults.system_call("make" if makes else "read", "open")
        if buffering == 0:
            file: Any = File(path, mode.replace("b", ""), opener=kwargs.get("opener"))
            file.writable_once = makes
        else:
            file = real(path, mode, buffering, **kwargs)
        if makes:
            faults.after_call("open")
        return file

    return call
