"""Dask Bag on one pool of processes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any

from benchmarks.peers.handmade import SPLIT
from benchmarks.peers.task import Peer, Task, every
from benchmarks.workloads import WORKLOADS


@contextmanager
def _scheduled(task: Task) -> Iterator[None]:
    import dask

    spawning = get_context("spawn")
    with (
        ProcessPoolExecutor(task.workers, mp_context=spawning) as pool,
        # It submits six tasks at a time by default, which leaves a worker idle when there are few.
        dask.config.set(scheduler="processes", pool=pool, chunksize=1, temporary_directory=str(task.scratch)),
    ):
        yield


def stripped(line: str) -> str:
    return line.rstrip("\n")


def key_of(pair: tuple[str, Any]) -> str:
    return pair[0]


def added(work: str, seen: Any, pair: tuple[str, Any]) -> Any:
    fold = WORKLOADS[work].fold
    assert fold is not None
    return pair[1] if seen is None else fold(seen, pair[1])


def merged(work: str, left: Any, right: Any) -> Any:
    fold = WORKLOADS[work].fold
    assert fold is not None
    return right if left is None else left if right is None else fold(left, right)


def shown(work: str, pair: tuple[str, Any]) -> str:
    return WORKLOADS[work].line(*pair)[:-1]


def reduced(work: str, group: tuple[str, list[tuple[str, Any]]]) -> str:
    key, pairs = group
    return WORKLOADS[work].line(key, WORKLOADS[work].reduce([value for _, value in pairs]))[:-1]


def _folded(work: str, pairs: Any) -> Any:
    return pairs.foldby(key_of, partial(added, work), None, partial(merged, work), None)


def run(task: Task) -> None:
    from dask import bag

    size = sum(path.stat().st_size for path in task.inputs)
    with _scheduled(task):
        if task.work == "W5":
            lines = bag.from_sequence(task.lines(), npartitions=200)
        else:
            lines = bag.read_text(list(map(str, task.inputs)), blocksize=SPLIT).map(stripped)
        pairs = lines.map(task.workload.mapper).flatten()
        if task.workload.combine is None:
            parts = max(task.workers, size // 64_000_000)
            groups = pairs.groupby(key_of, shuffle="disk", npartitions=parts)
            found = groups.map(partial(reduced, task.work))
        else:
            found = _folded(task.work, pairs).map(partial(shown, task.work))
        found.to_textfiles(str(task.output / "part-*"))


def small(task: Task) -> None:
    from dask import bag

    def count(lines: list[str]) -> dict[str, int]:
        pairs = bag.from_sequence(lines, npartitions=task.workers).map(task.workload.mapper).flatten()
        return dict(_folded("W6", pairs).compute())

    with _scheduled(task):
        task.repeat(count)


PEER = Peer("Dask bag", {**every(run, ("W1", "W2", "W3", "W5")), "W6": small}, modules=("dask",))
