"""bytewax over the files of a stream, in as many processes as there are workers.

`blocks`: what an expert would write. A source gives large blocks, which are counted in C; each block's counts go to 64
keys, which are groups of words, and each group has a table. `words`: a state for each word, as the manual shows it, but
of blocks that are counted before, without which it is ten times slower.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

from benchmarks.peers.task import Task

_GROUPS = 64
_BLOCK = 4 << 20
_INTERVAL = timedelta(seconds=0.2)


def count(task: Task, form: str, *, durable: bool) -> None:
    """Counts the words, and notes how long it took from the first read to the last count."""
    order = {
        "form": form,
        "inputs": list(map(str, task.inputs)),
        "output": str(task.scratch),
        "workers": task.workers,
        "durable": durable,
    }
    if durable:
        from bytewax.recovery import init_db_dir

        (task.scratch / "recovery").mkdir()
        init_db_dir(task.scratch / "recovery", task.workers)
    task.begins()
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(task.workers)]
    command = [sys.executable, "-m", __name__, json.dumps(order), json.dumps(addresses)]
    processes = [subprocess.Popen([*command, str(number)]) for number in range(task.workers)]
    statuses = [process.wait() for process in processes]
    if any(statuses):
        raise RuntimeError("a process of bytewax failed")
    begins = [float(path.read_text()) for path in task.scratch.glob("begin-*")]
    counts: dict[str, int] = {}
    ends = []
    for path in task.scratch.glob("counts-*"):
        found = json.loads(path.read_text(encoding="utf-8"))
        ends.append(found["end"])
        counts.update(found["counts"])
    task.counted(counts, max(ends) - min(begins))


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in sockets]


def main() -> None:
    """One process of the cluster: the arguments are the order, all addresses, and its number."""
    from bytewax._bytewax import cli_main
    from bytewax.recovery import RecoveryConfig

    order, addresses, number = map(json.loads, sys.argv[1:])
    recovery = RecoveryConfig(Path(order["output"], "recovery")) if order["durable"] else None
    cli_main(
        _dataflow(order),
        process_id=number,
        addresses=addresses,
        epoch_interval=_INTERVAL,
        recovery_config=recovery,
    )


def _dataflow(order: dict[str, Any]) -> Any:
    from bytewax import operators
    from bytewax.dataflow import Dataflow

    flow = Dataflow("benchmark")
    blocks = operators.input("read", flow, _source(order))
    if order["form"] == "blocks":
        groups = operators.flat_map("count", blocks, grouped)
        counted = operators.stateful_batch("add", groups, _logic(_added, dict.copy))
    else:
        pairs = operators.flat_map("count", blocks, lambda block: Counter(block.decode().split()).items())
        counted = operators.stateful_batch("add", pairs, _logic(_summed, lambda total: total))
    operators.output("write", counted, _sink(order))
    return flow


def grouped(block: bytes) -> list[tuple[str, dict[str, int]]]:
    """The counts of a block's words, by group."""
    tables: list[dict[str, int]] = [{} for _ in range(_GROUPS)]
    for word, number in Counter(block.decode().split()).items():
        tables[crc32(word.encode()) % _GROUPS][word] = number
    return [(str(group), table) for group, table in enumerate(tables) if table]


def _added(table: dict[str, int] | None, values: list[dict[str, int]]) -> dict[str, int]:
    if table is None:
        table = values.pop(0)
    for counts in values:
        for word, number in counts.items():
            table[word] = table[word] + number if word in table else number
    return table


def _summed(total: int | None, values: list[int]) -> int:
    return (total or 0) + sum(values)


def _logic(add: Any, snapshot: Any) -> Any:
    """What is kept for a key, which is told at the end."""
    from bytewax.operators import StatefulBatchLogic

    class Logic(StatefulBatchLogic):
        def __init__(self, state: Any) -> None:
            self._state = state

        def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
            self._state = add(self._state, values)
            return [], self.RETAIN

        def on_eof(self) -> tuple[list[Any], bool]:
            return [self._state], self.RETAIN

        def snapshot(self) -> Any:
            return snapshot(self._state)

    return Logic


def _source(order: dict[str, Any]) -> Any:
    """The files, each process a stretch of each, in blocks of whole lines; positions are kept if it is to recover."""
    from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

    class Stretch(StatefulSourcePartition):
        def __init__(self, path: str, start: int, stop: int) -> None:
            self._file = open(path, "rb")  # noqa: SIM115 closed by close()
            self._stop = stop
            self._file.seek(start)
            _note(Path(order["output"], f"begin-{os.getpid()}"))

        def next_batch(self) -> list[bytes]:
            here = self._file.tell()
            if here >= self._stop:
                raise StopIteration
            block = self._file.read(min(_BLOCK, self._stop - here))
            return [block if block.endswith(b"\n") else block + self._file.readline()]

        def snapshot(self) -> int:
            return self._file.tell()

        def close(self) -> None:
            self._file.close()

    class Stretches(FixedPartitionedSource):
        def list_parts(self) -> list[str]:
            return [f"{part} {path}" for path in order["inputs"] for part in range(order["workers"])]

        def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Stretch:
            part, path = for_part.split(" ", 1)
            cuts = [_line_start(path, int(part) + more, order["workers"]) for more in (0, 1)]
            return Stretch(path, cuts[0] if resume_state is None else resume_state, cuts[1])

    return Stretches()


def _line_start(path: str, part: int, parts: int) -> int:
    """Where a part of a file begins: at a line."""
    with open(path, "rb") as file:
        place = file.seek(0, os.SEEK_END) * part // parts
        if place:
            file.seek(place - 1)
            file.readline()
            place = file.tell()
    return place


def _note(path: Path) -> None:
    if not path.exists():
        path.write_text(str(time.monotonic()))


def _sink(order: dict[str, Any]) -> Any:
    """Takes the states that are told at the end, and writes them to a file a worker."""
    from bytewax.outputs import DynamicSink, StatelessSinkPartition

    class Part(StatelessSinkPartition):
        def __init__(self, number: int) -> None:
            self._path = Path(order["output"], f"counts-{number}")
            self._end = 0.0
            self._counts: dict[str, int] = {}

        def write_batch(self, items: list[tuple[str, Any]]) -> None:
            self._end = self._end or time.monotonic()
            for key, state in items:
                if order["form"] == "blocks":
                    self._counts.update(state)
                else:
                    self._counts[key] = state

        def close(self) -> None:
            found = {"end": self._end or time.monotonic(), "counts": self._counts}
            self._path.write_text(json.dumps(found), encoding="utf-8")

    class Parts(DynamicSink):
        def build(self, step_id: str, worker_index: int, worker_count: int) -> Part:
            return Part(worker_index)

    return Parts()


if __name__ == "__main__":
    main()
