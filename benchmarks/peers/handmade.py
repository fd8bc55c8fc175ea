"""Map and reduce tasks by hand, through the user functions: what people write when all they have is a way to call a
function in another process. Data goes from map to reduce tasks through files."""

from __future__ import annotations

import pickle
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from zlib import crc32

from benchmarks.peers.task import Task
from benchmarks.workloads import WORKLOADS, Workload

MB = 1_000_000
SPLIT = 8 * MB
_SAMPLE = 4000


@dataclass(frozen=True, slots=True)
class Stretch:
    """The lines of a file that begin between two offsets."""

    path: Path
    start: int
    stop: int

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            if self.start:
                file.seek(self.start - 1)
                file.readline()
            start = file.tell()
            data = file.read(max(0, self.stop - start))
            return data + file.readline() if data and not data.endswith(b"\n") else data

    def lines(self) -> list[str]:
        return self.read().decode().removesuffix("\n").split("\n")


@dataclass(frozen=True, slots=True)
class Plan:
    """How a piece of work is divided: map tasks, reduce tasks, and for a sort the keys between partitions."""

    work: str
    folder: Path
    output: Path
    stretches: tuple[Stretch, ...]
    partitions: int
    bounds: tuple[str, ...] = ()

    @property
    def workload(self) -> Workload:
        return WORKLOADS[self.work]

    @classmethod
    def of(cls, task: Task) -> Plan:
        size = 4 if task.work == "W5" else SPLIT
        stretches = tuple(chain.from_iterable(cut(path, size) for path in task.inputs))
        partitions = task.workers
        if task.workload.combine is None:  # as much to reduce as to map
            partitions = max(partitions, sum(path.stat().st_size for path in task.inputs) // (64 * MB))
        bounds = _sampled_bounds(task.inputs, partitions) if task.workload.ordered else ()
        return cls(task.work, task.scratch, task.output, stretches, partitions, bounds)

    def piece(self, index: int, partition: int) -> Path:
        return self.folder / f"{partition}.{index}"


def cut(path: Path, size: int) -> Iterator[Stretch]:
    """A file in stretches of about `size` bytes."""
    whole = path.stat().st_size
    number = max(1, round(whole / size))
    for index in range(number):
        yield Stretch(path, whole * index // number, whole * (index + 1) // number)


def _sampled_bounds(inputs: list[Path], partitions: int) -> tuple[str, ...]:
    rng, keys = random.Random(3), []
    for _ in range(_SAMPLE):
        path = rng.choice(inputs)
        with open(path, "rb") as file:
            file.seek(rng.randrange(path.stat().st_size))
            file.readline()
            keys.append(file.readline()[:10].decode())
    keys = sorted(filter(None, keys))
    return tuple(keys[len(keys) * index // partitions] for index in range(1, partitions))


def run_map(plan: Plan, index: int) -> None:
    """A map task: all values of a key in a list, combined where the work has a combiner."""
    if plan.workload.ordered:
        _write(plan, index, ranged(plan, plan.stretches[index].lines()))
    else:
        _write(plan, index, scattered(grouped(plan.workload, plan.stretches[index].lines()), plan.partitions))


def run_fold_map(plan: Plan, index: int) -> None:
    """A map task that folds each value in as it comes."""
    workload = plan.workload
    fold = workload.fold
    assert fold is not None
    table: dict[str, Any] = {}
    for key, value in chain.from_iterable(map(workload.mapper, plan.stretches[index].lines())):
        if key in table:
            table[key] = fold(table[key], value)
        else:
            table[key] = value
    _write(plan, index, scattered(table, plan.partitions))


def grouped(workload: Workload, lines: Iterable[str]) -> dict[str, list[Any]]:
    """The values of each key, combined."""
    table = defaultdict(list)
    for key, value in chain.from_iterable(map(workload.mapper, lines)):
        table[key].append(value)
    combine = workload.combine
    return dict(table) if combine is None else {key: [combine(values)] for key, values in table.items()}


def scattered(table: dict[str, Any], partitions: int) -> list[dict[str, Any]]:
    """The table by partition, which follows from the key alone."""
    parts: list[dict[str, Any]] = [{} for _ in range(partitions)]
    for key, value in table.items():
        parts[crc32(key.encode()) % partitions][key] = value
    return parts


def ranged(plan: Plan, lines: Iterable[str]) -> list[list[tuple[str, Any]]]:
    """The pairs by range of their keys, each range sorted."""
    parts: list[list[tuple[str, Any]]] = [[] for _ in range(plan.partitions)]
    for pair in chain.from_iterable(map(plan.workload.mapper, lines)):
        parts[bisect_right(plan.bounds, pair[0])].append(pair)
    for part in parts:
        part.sort()
    return parts


def _write(plan: Plan, index: int, parts: list[Any]) -> None:
    for partition, part in enumerate(parts):
        with open(plan.piece(index, partition), "wb") as file:
            pickle.dump(part, file, pickle.HIGHEST_PROTOCOL)


def _pieces(plan: Plan, partition: int) -> Iterator[Any]:
    for index in range(len(plan.stretches)):
        path = plan.piece(index, partition)
        with open(path, "rb") as file:
            yield pickle.load(file)
        path.unlink()


def run_reduce(plan: Plan, partition: int) -> None:
    """A reduce task."""
    write_reduced(plan, partition, _pieces(plan, partition))


def write_reduced(plan: Plan, partition: int, pieces: Iterable[Any]) -> None:
    """Merges what the map tasks gave for a partition, in their order, and writes its part of the output."""
    workload = plan.workload
    with open(plan.output / f"part-{partition:05d}", "w", encoding="utf-8") as file:
        if workload.ordered:
            rows = list(chain.from_iterable(pieces))
            rows.sort()
            file.writelines([workload.line(key, rest) for key, rest in rows])
            return
        table, reduce, show = joined(pieces), workload.reduce, workload.show
        file.writelines([f"{key}\t{show(reduce(table[key]))}\n" for key in sorted(table)])


def run_fold_reduce(plan: Plan, partition: int) -> None:
    """A reduce task behind `run_fold_map`."""
    workload = plan.workload
    assert workload.fold is not None
    table = merged(_pieces(plan, partition), workload.fold)
    with open(plan.output / f"part-{partition:05d}", "w", encoding="utf-8") as file:
        show = workload.show
        file.writelines([f"{key}\t{show(table[key])}\n" for key in sorted(table)])


def merged(tables: Iterable[dict[str, Any]], merge: Callable[[Any, Any], Any]) -> dict[str, Any]:
    """One table of several."""
    rest = iter(tables)
    whole = next(rest, {})
    for table in rest:
        for key, value in table.items():
            whole[key] = merge(whole[key], value) if key in whole else value
    return whole


def joined(tables: Iterable[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """`merged` for lists, which grow in place."""
    rest = iter(tables)
    whole = next(rest, {})
    for table in rest:
        for key, values in table.items():
            if key in whole:
                whole[key] += values
            else:
                whole[key] = values
    return whole


def halves(lines: list[str], workers: int) -> list[list[str]]:
    """A few lines, divided among the workers."""
    size = -(-len(lines) // workers)
    return [lines[start : start + size] for start in range(0, len(lines), size)]


def counted(lines: list[str]) -> dict[str, Any]:
    """A map task of W6."""
    return grouped(WORKLOADS["W6"], lines)


def summed(tables: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The reduce task of W6."""
    return {key: sum(values) for key, values in joined(tables).items()}
