"""The script that mrjob runs again in each of its processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from mrjob.job import MRJob

from benchmarks.workloads import WORKLOADS, Workload


class Lines:
    """Its output protocol: the workload's line of output."""

    def write(self, key: str, result: Any) -> bytes:
        return _workload().line(key, result).removesuffix("\n").encode()


def _workload() -> Workload:
    return WORKLOADS[os.environ["BENCH_WORK"]]


class Work(MRJob):
    """A workload as mrjob has it. Between the steps it speaks JSON, as by default."""

    def output_protocol(self) -> Lines:
        return Lines()

    def mapper(self, _key: object, line: str) -> Iterable[tuple[str, Any]]:
        return _workload().mapper(line)

    def reducer(self, key: str, values: Iterator[Any]) -> Iterator[tuple[str, Any]]:
        yield key, _workload().reduce(values)


class CombiningWork(Work):
    def combiner(self, key: str, values: Iterator[Any]) -> Iterator[tuple[str, Any]]:
        combine = _workload().combine
        assert combine is not None
        yield key, combine(values)


if __name__ == "__main__":
    (Work if _workload().combine is None else CombiningWork).run()
