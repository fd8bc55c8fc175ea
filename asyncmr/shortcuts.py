"""One job, on an engine that is opened for it and closed behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Unpack, overload

from asyncmr.api import Engine
from asyncmr.connectors.sources import AnySource, Path
from asyncmr.job import Job
from asyncmr.options import CollectOptions, RunOptions
from asyncmr.protocols import Sink
from asyncmr.report import Report
from asyncmr.result import PairStream, Result
from asyncmr.started import StartedJob
from asyncmr.typevars import K, V


async def run(job: Job, source: AnySource, output: Path | Sink, **arguments: Unpack[RunOptions]) -> Report:
    """`Engine.run` on an engine of its own; takes the arguments of both.

        report = await asyncmr.run(job, "books/*.txt", "counts", workers=4, memory="1 GiB")

    For several jobs one `Engine` is better: starting its workers takes longer than a small job.
    """
    mine, engine = _divide(arguments, "format", "progress", "dead_letters", "resume")
    async with Engine(**engine) as opened:
        return await opened.run(job, source, output, **mine)


async def collect(job: Job[K, V], source: AnySource, **arguments: Unpack[CollectOptions]) -> Result[K, V]:
    """`Engine.collect` on an engine of its own; takes the arguments of both.

        counts = dict(await asyncmr.collect(job, "books/*.txt", workers=4))

    For several jobs one `Engine` is better: starting its workers takes longer than a small job.
    """
    mine, engine = _divide(arguments, "progress", "dead_letters")
    async with Engine(**engine) as opened:
        return await opened.collect(job, source, **mine)


def stream(
    job: Job[K, V], source: AnySource, **arguments: Unpack[CollectOptions]
) -> AbstractAsyncContextManager[PairStream[K, V]]:
    """`Engine.stream` on an engine of its own; takes the arguments of both.

        async with asyncmr.stream(job, "books/*.txt", workers=4) as pairs:
            async for word, count in pairs:
                print(word, count)

    Leaving the block early cancels the job.
    """
    return _stream(job, source, arguments)


@asynccontextmanager
async def _stream(
    job: Job[K, V], source: AnySource, arguments: Mapping[str, Any]
) -> AsyncIterator[PairStream[K, V]]:
    mine, engine = _divide(arguments, "progress", "dead_letters")
    async with Engine(**engine) as opened, opened.stream(job, source, **mine) as pairs:
        yield pairs


@overload
def start(
    job: Job, source: AnySource, output: Path | Sink, **arguments: Unpack[RunOptions]
) -> AbstractAsyncContextManager[StartedJob[Report]]: ...
@overload
def start(
    job: Job[K, V], source: AnySource, output: None = None, **arguments: Unpack[CollectOptions]
) -> AbstractAsyncContextManager[StartedJob[Result[K, V]]]: ...
def start(job: Job, source: AnySource, output: Path | Sink | None = None, **arguments: Any) -> Any:
    """`Engine.start` on an engine of its own; takes the arguments of both.

        async with asyncmr.start(job, "books/*.txt", "out/") as running:
            report = await running

    Leaving the block cancels a job that still runs.
    """
    return _start(job, source, output, arguments)


@asynccontextmanager
async def _start(
    job: Job, source: AnySource, output: Path | Sink | None, arguments: Mapping[str, Any]
) -> AsyncIterator[StartedJob[Any]]:
    mine, engine = _divide(arguments, "format", "progress", "dead_letters", "resume")
    async with Engine(**engine) as opened, opened.start(job, source, output, **mine) as running:
        yield running


def _divide(arguments: Mapping[str, Any], *names: str) -> tuple[dict[str, Any], dict[str, Any]]:
    mine = {name: arguments[name] for name in names if name in arguments}
    return mine, {name: value for name, value in arguments.items() if name not in mine}
