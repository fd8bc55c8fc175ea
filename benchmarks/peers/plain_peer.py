"""A plain loop in one process, without an engine and without user functions: what any parallel system must beat first
(McSherry, Isard and Murray, "Scalability! But at what COST?", HotOS 2015)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from benchmarks.functions import burn, show_documents, show_traffic
from benchmarks.peers.task import Peer, Task


def _lines(task: Task) -> Iterator[str]:
    for path in task.inputs:
        with open(path, encoding="utf-8", newline="\n") as file:
            yield from file


def count_words(task: Task) -> None:
    counts: Counter[str] = Counter()
    for line in _lines(task):
        counts.update(line.split())
    with open(task.part(0), "w", encoding="utf-8") as file:
        file.writelines(f"{word}\t{number}\n" for word, number in counts.items())


def index_words(task: Task) -> None:
    found: dict[str, list[int]] = defaultdict(list)
    for line in _lines(task):
        number, _, text = line.partition("\t")
        document = int(number)
        for word in set(text.split()):
            found[word].append(document)
    with open(task.part(0), "w", encoding="utf-8") as file:
        file.writelines(f"{word}\t{show_documents(documents)}\n" for word, documents in found.items())


def sum_traffic(task: Task) -> None:
    table: dict[str, tuple[int, int, int]] = {}
    for line in _lines(task):
        record = json.loads(line)
        size = record["bytes"]
        total, number, most = table.get(record["user"], (0, 0, 0))
        table[record["user"]] = total + size, number + 1, max(most, size)
    with open(task.part(0), "w", encoding="utf-8") as file:
        file.writelines(f"{user}\t{show_traffic(found)}\n" for user, found in table.items())


def sort_lines(task: Task) -> None:
    rows: list[bytes] = []
    for path in task.inputs:
        rows += path.read_bytes().splitlines(keepends=True)
    rows.sort()
    with open(task.part(0), "wb") as file:
        file.writelines(rows)


def burn_all(task: Task) -> None:
    with open(task.part(0), "w", encoding="utf-8") as file:
        for line in task.lines():
            file.writelines(f"{key}\t{value}\n" for key, value in burn(line))


def small(task: Task) -> None:
    task.repeat(lambda lines: Counter(" ".join(lines).split()))


PEER = Peer(
    "plain loop, one process",
    {
        "W1": count_words,
        "W2": index_words,
        "W3": sum_traffic,
        "W4": sort_lines,
        "W5": burn_all,
        "W6": small,
    },
)
