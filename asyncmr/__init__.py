"""MapReduce that you can await.

Describe a job with `Job`; run it with `collect`, `run`, `stream` or `start`, or on an `Engine` that many
jobs share.

The house, from the top down: `cli`; `testing` (for test suites of jobs); `shortcuts` and `api` (the public verbs);
`engines` (where a job runs); `pipeline` (the way of the data: start at `pipeline/flow.py`); `connectors` (sources and
sinks); `actors`, `workers` and `storage` (what a pipeline is made of, knowing nothing of MapReduce); `kernel` (pure
functions on blocks); `jobs` and `aggregators` (ready-made); `job`, `protocols`, `progress` and `report`
(descriptions); `errors`.

Names are loaded on first use, because every worker process imports this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmr.lazy import loading

if TYPE_CHECKING:
    from asyncmr.aggregators import Count, Distinct, Max, Mean, Min, Sum, TopK
    from asyncmr.api import Engine
    from asyncmr.asynchronous import Values
    from asyncmr.batches import batch
    from asyncmr.connectors.sources import documents, json_lines, pairs, records
    from asyncmr.contexts import context
    from asyncmr.counters import counter
    from asyncmr.errors import (
        AsyncMRError,
        ClosedError,
        CombinerError,
        CorruptInputError,
        CorruptRunError,
        FormatError,
        InputError,
        JobCancelled,
        KeyTypeError,
        MainGuardError,
        MapperError,
        MemoryBudgetError,
        OperatorError,
        OutputError,
        PartitionerError,
        PoolStartError,
        PushFull,
        RecordError,
        ReducerError,
        ResumeError,
        SetupError,
        SkipLimitError,
        StorageError,
        TaskTimeout,
        TokenReused,
        UsageError,
        UserCodeError,
        WorkerDied,
        WorkerError,
    )
    from asyncmr.functions import Mapper, Reducer
    from asyncmr.job import Job
    from asyncmr.kernel.keys import register_key_type
    from asyncmr.progress import Progress, QueueProgress, StageProgress
    from asyncmr.protocols import Aggregator, Sink, Source
    from asyncmr.report import Report, Skipped
    from asyncmr.result import PairStream, Result
    from asyncmr.running import RunningJob
    from asyncmr.shortcuts import collect, run, start, stream
    from asyncmr.started import StartedJob

__version__ = "0.1.0"

__all__ = [
    "Aggregator",
    "AsyncMRError",
    "ClosedError",
    "CombinerError",
    "CorruptInputError",
    "CorruptRunError",
    "Count",
    "Distinct",
    "Engine",
    "FormatError",
    "InputError",
    "Job",
    "JobCancelled",
    "KeyTypeError",
    "MainGuardError",
    "Mapper",
    "MapperError",
    "Max",
    "Mean",
    "MemoryBudgetError",
    "Min",
    "OperatorError",
    "OutputError",
    "PairStream",
    "PartitionerError",
    "PoolStartError",
    "Progress",
    "PushFull",
    "QueueProgress",
    "RecordError",
    "Reducer",
    "ReducerError",
    "Report",
    "Result",
    "ResumeError",
    "RunningJob",
    "SetupError",
    "Sink",
    "SkipLimitError",
    "Skipped",
    "Source",
    "StageProgress",
    "StartedJob",
    "StorageError",
    "Sum",
    "TaskTimeout",
    "TokenReused",
    "TopK",
    "UsageError",
    "UserCodeError",
    "Values",
    "WorkerDied",
    "WorkerError",
    "batch",
    "collect",
    "context",
    "counter",
    "documents",
    "json_lines",
    "pairs",
    "records",
    "register_key_type",
    "run",
    "start",
    "stream",
]

_MODULES = {
    "aggregators": ("Count", "Distinct", "Max", "Mean", "Min", "Sum", "TopK"),
    "api": ("Engine",),
    "asynchronous": ("Values",),
    "batches": ("batch",),
    "connectors.sources": ("documents", "json_lines", "pairs", "records"),
    "contexts": ("context",),
    "counters": ("counter",),
    "functions": ("Mapper", "Reducer"),
    "job": ("Job",),
    "kernel.keys": ("register_key_type",),
    "protocols": ("Aggregator", "Sink", "Source"),
    "progress": ("Progress", "QueueProgress", "StageProgress"),
    "report": ("Report", "Skipped"),
    "result": ("PairStream", "Result"),
    "running": ("RunningJob",),
    "shortcuts": ("collect", "run", "start", "stream"),
    "started": ("StartedJob",),
}
_HOME = dict.fromkeys(__all__, "errors") | {
    name: module for module, names in _MODULES.items() for name in names
}

__getattr__ = loading(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
