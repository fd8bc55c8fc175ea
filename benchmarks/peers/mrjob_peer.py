"""mrjob with its local runner, which starts processes and sorts between the steps."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any

from benchmarks.peers.task import Peer, Task, every


def _job(task: Task, arguments: list[str]) -> Any:
    os.environ["BENCH_WORK"] = task.work
    from benchmarks.peers.mrjob_script import CombiningWork, Work

    kind: Any = Work if task.workload.combine is None else CombiningWork
    return kind(["-r", "local", "--num-cores", str(task.workers), "--no-bootstrap-mrjob", "-q", *arguments])


def run(task: Task) -> None:
    size = sum(path.stat().st_size for path in task.inputs)
    maps = task.workers if task.work == "W5" else max(task.workers, size // 64_000_000)
    arguments = ["--no-cat-output", "--output-dir", str(task.output)]
    arguments += ["--jobconf", f"mapreduce.job.maps={maps}"]
    arguments += ["--jobconf", f"mapreduce.job.reduces={task.workers}"]
    with _job(task, [*arguments, *map(str, task.inputs)]).make_runner() as runner:
        runner.run()


def small(task: Task) -> None:
    def count(lines: list[str]) -> dict[str, int]:
        job = _job(task, [])
        job.sandbox(stdin=BytesIO("\n".join(lines).encode() + b"\n"))
        with job.make_runner() as runner:
            runner.run()
            text = b"".join(runner.cat_output()).decode()
        return {word: int(number) for word, number in (line.split("\t") for line in text.splitlines())}

    task.repeat(count, times=10)


PEER = Peer("mrjob, local", {**every(run, ("W1", "W2", "W3", "W5")), "W6": small}, modules=("mrjob",))
