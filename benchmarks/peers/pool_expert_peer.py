"""A process pool by an expert, written anew for each piece of work: no user functions, C code where there is some."""

from __future__ import annotations

import gc
import json
import marshal
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from typing import Any

from benchmarks.functions import show_documents, show_traffic
from benchmarks.peers.handmade import Plan, halves, run_map, run_reduce, scattered
from benchmarks.peers.pool_classic_peer import run_on_pool
from benchmarks.peers.task import Peer, Task


def _write(plan: Plan, index: int, parts: list[Any]) -> None:
    for partition, part in enumerate(parts):
        plan.piece(index, partition).write_bytes(marshal.dumps(part, 2))  # version 2: no table of references


def _read(plan: Plan, partition: int) -> Iterator[Any]:
    for index in range(len(plan.stretches)):
        path = plan.piece(index, partition)
        yield marshal.loads(path.read_bytes())
        path.unlink()


def _lines_out(plan: Plan, partition: int, lines: list[str]) -> None:
    (plan.output / f"part-{partition:05d}").write_text("".join(lines), encoding="utf-8")


def count_words(plan: Plan, index: int) -> None:
    _write(plan, index, scattered(Counter(plan.stretches[index].read().decode().split()), plan.partitions))


def add_counts(plan: Plan, partition: int) -> None:
    total: Counter[str] = Counter()
    for counts in _read(plan, partition):
        total.update(counts)
    _lines_out(plan, partition, [f"{word}\t{number}\n" for word, number in total.items()])


def index_words(plan: Plan, index: int) -> None:
    found: dict[str, list[int]] = defaultdict(list)
    for line in plan.stretches[index].lines():
        number, _, text = line.partition("\t")
        document = int(number)
        for word in set(text.split()):
            found[word].append(document)
    _write(plan, index, scattered(found, plan.partitions))


def join_indexes(plan: Plan, partition: int) -> None:
    whole: dict[str, list[int]] = {}
    for found in _read(plan, partition):
        for word, documents in found.items():
            if word in whole:
                whole[word] += documents
            else:
                whole[word] = documents
    # Map tasks are merged in the order of the input, and document numbers ascend in it.
    _lines_out(plan, partition, [f"{word}\t{show_documents(found)}\n" for word, found in whole.items()])


def sum_traffic(plan: Plan, index: int) -> None:
    table: dict[str, list[int]] = {}
    for line in plan.stretches[index].lines():
        record = json.loads(line)
        size = record["bytes"]
        seen = table.get(record["user"])
        if seen is None:
            table[record["user"]] = [size, 1, size]
        else:
            seen[0] += size
            seen[1] += 1
            if size > seen[2]:
                seen[2] = size
    _write(plan, index, scattered(table, plan.partitions))


def add_traffic(plan: Plan, partition: int) -> None:
    whole: dict[str, list[int]] = {}
    for table in _read(plan, partition):
        for user, found in table.items():
            seen = whole.setdefault(user, found)
            if seen is not found:
                whole[user] = [seen[0] + found[0], seen[1] + found[1], max(seen[2], found[2])]
    _lines_out(plan, partition, [f"{user}\t{show_traffic((a, b, c))}\n" for user, (a, b, c) in whole.items()])


def sort_rows(plan: Plan, index: int) -> None:
    rows = plan.stretches[index].read().splitlines(keepends=True)
    rows.sort()
    cuts = [0, *(bisect_left(rows, bound.encode()) for bound in plan.bounds), len(rows)]
    for partition, (start, stop) in enumerate(pairwise(cuts)):
        plan.piece(index, partition).write_bytes(b"".join(rows[start:stop]))


def merge_rows(plan: Plan, partition: int) -> None:
    rows: list[bytes] = []
    for index in range(len(plan.stretches)):
        path = plan.piece(index, partition)
        rows += path.read_bytes().splitlines(keepends=True)
        path.unlink()
    rows.sort()  # finds the sorted runs and merges them
    with open(plan.output / f"part-{partition:05d}", "wb") as file:
        file.writelines(rows)


_Stage = Callable[[Plan, int], None]


def _stages(map_task: _Stage, reduce_task: _Stage) -> Callable[[Task], None]:
    return lambda task: run_on_pool(task, map_task, reduce_task, gc.disable)


def count_lines(lines: list[str]) -> Counter[str]:
    return Counter(" ".join(lines).split())


def small(task: Task) -> None:
    def count(lines: list[str]) -> Counter[str]:
        return sum(pool.map(count_lines, halves(lines, task.workers)), Counter())

    with ProcessPoolExecutor(task.workers) as pool:
        task.repeat(count)


PEER = Peer(
    "process pool by an expert, no user functions",
    {
        "W1": _stages(count_words, add_counts),
        "W2": _stages(index_words, join_indexes),
        "W3": _stages(sum_traffic, add_traffic),
        "W4": _stages(sort_rows, merge_rows),
        "W5": _stages(run_map, run_reduce),
        "W6": small,
    },
)
