"""PySpark RDDs in local mode."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

from benchmarks.peers.task import Peer, Task, every
from benchmarks.workloads import WORKLOADS


def _context(task: Task) -> Any:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    from pyspark import SparkConf, SparkContext

    options = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.local.dir": str(task.scratch),
    }
    configuration = SparkConf().setMaster(f"local[{task.workers}]").setAppName("benchmark")
    context = SparkContext(conf=configuration.setAll(list(options.items())))
    context.setLogLevel("ERROR")
    return context


def shown(work: str, pair: tuple[str, Any]) -> str:
    return WORKLOADS[work].line(*pair)[:-1]


def reduced(work: str, pair: tuple[str, Any]) -> tuple[str, Any]:
    return pair[0], WORKLOADS[work].reduce(pair[1])


def run(task: Task) -> None:
    context, workload = _context(task), task.workload
    size = sum(path.stat().st_size for path in task.inputs)
    if task.work == "W5":
        lines = context.parallelize(task.lines(), 200)
    else:
        lines = context.textFile(
            ",".join(path.as_uri() for path in task.inputs), max(task.workers, size // 32_000_000)
        )
    pairs = lines.flatMap(workload.mapper)
    parts = max(task.workers, size // 64_000_000)
    if workload.ordered:
        found = pairs.sortByKey(numPartitions=parts)
    elif workload.fold is not None:
        found = pairs.reduceByKey(workload.fold, task.workers)
    else:
        found = pairs.groupByKey(parts).map(partial(reduced, task.work))
    task.output.rmdir()  # it insists on making the folder
    found.map(partial(shown, task.work)).saveAsTextFile(task.output.as_uri())
    context.stop()


def small(task: Task) -> None:
    context, workload = _context(task), task.workload
    task.repeat(
        lambda lines: dict(
            context.parallelize(lines, task.workers)
            .flatMap(workload.mapper)
            .reduceByKey(workload.fold)
            .collect()
        ),
        times=20,
    )
    context.stop()


PEER = Peer(
    "PySpark, local mode",
    {**every(run, ("W1", "W2", "W3", "W4", "W5")), "W6": small},
    modules=("pyspark",),
    commands=("java",),
)
