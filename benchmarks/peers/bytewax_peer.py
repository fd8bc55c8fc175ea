"""bytewax with bounded input, in as many processes as there are workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

from benchmarks.peers.task import Peer, Task, every
from benchmarks.workloads import WORKLOADS

_BATCH = 1000


def appended(values: list[Any], value: Any) -> list[Any]:
    values.append(value)
    return values


def _reduced(work: str, pairs: Any) -> Any:
    """The stream of lines, by key, that a stream of pairs becomes."""
    from bytewax import operators

    workload = WORKLOADS[work]
    if workload.fold is not None:
        results = operators.reduce_final("reduce", pairs, workload.fold)
        return operators.map("show", results, lambda pair: (pair[0], workload.line(*pair)[:-1]))
    groups = operators.fold_final("group", pairs, list, appended)
    return operators.map(
        "show", groups, lambda group: (group[0], workload.line(group[0], workload.reduce(group[1]))[:-1])
    )


def dataflow() -> Any:
    """What each process runs, as described by an environment variable."""
    from bytewax import operators
    from bytewax.connectors.files import DirSink, DirSource
    from bytewax.dataflow import Dataflow

    order = json.loads(os.environ["BENCH_DATAFLOW"])
    flow = Dataflow("benchmark")
    source = DirSource(Path(order["input"]), glob_pat="part-*", batch_size=_BATCH)
    pairs = operators.flat_map("map", operators.input("read", flow, source), WORKLOADS[order["work"]].mapper)
    sink = DirSink(Path(order["output"]), order["workers"], assign_file=lambda key: crc32(key.encode()))
    operators.output("write", _reduced(order["work"], pairs), sink)
    return flow


def run(task: Task) -> None:
    order = {
        "work": task.work,
        "input": str(task.inputs[0].parent),
        "output": str(task.output),
        "workers": task.workers,
    }
    command = [sys.executable, "-m", "bytewax.testing", "benchmarks.peers.bytewax_peer:dataflow()"]
    subprocess.run(
        [*command, "-p", str(task.workers), "-w", "1"],
        env={**os.environ, "BENCH_DATAFLOW": json.dumps(order)},
        check=True,
    )
    for number, path in enumerate(sorted(task.output.iterdir())):
        path.rename(task.part(number))


def small(task: Task) -> None:
    from bytewax import operators
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource, run_main

    workload = task.workload

    def count(lines: list[str]) -> dict[str, int]:
        found: list[tuple[str, int]] = []
        flow = Dataflow("small")
        pairs = operators.flat_map(
            "map", operators.input("read", flow, TestingSource(lines, batch_size=10)), workload.mapper
        )
        assert workload.fold is not None
        operators.output("write", operators.reduce_final("sum", pairs, workload.fold), TestingSink(found))
        run_main(flow)
        return dict(found)

    task.repeat(count)


PEER = Peer("bytewax", {**every(run, ("W1", "W2", "W3")), "W6": small}, modules=("bytewax",))
