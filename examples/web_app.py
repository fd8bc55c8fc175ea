"""A web application that runs jobs on request: progress while they run, and other requests answered meanwhile.

    pip install 'asyncmr[web]'
    python examples/web_app.py [FOLDER]

and open http://127.0.0.1:8000. What can be counted are the folders in FOLDER; without one the application writes some
text of its own. With several server processes each has an engine, and gets its share of the machine:

    WEB_CONCURRENCY=4 uvicorn --factory --app-dir examples web_app:application

Under FastAPI it is the same: `lifespan` goes to `FastAPI(lifespan=...)`, and an `EventStream` can be returned as it is.
"""

import json
import os
import random
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from functools import partial
from heapq import nlargest
from operator import add
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

import asyncmr

MOST = 15  # words are shown
SAMPLES = {"short": 2_000, "long": 1_000_000, "without a file": 0}  # folders, and how many lines they get


# The job. Its functions run in worker processes, which import this file. A larger application has them in a file of
# their own, so that its workers need not import the rest.


def words(_key, line):
    for word in line.lower().split():
        yield word, 1


def candidate(word, count):
    yield None, [(count, word)]


def best(some, others):
    return nlargest(MOST, some + others)


# To choose the best is a step of the job, and not of the handler: a million words would hold up the event loop.
top_words = asyncmr.Job(mapper=words, fold=add).then(
    asyncmr.Job(mapper=candidate, fold=best, name="top words")
)


# The application.


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, object]]:
    """One engine for the life of the process: its workers are warm when a request comes."""
    with ExitStack() as stack:
        root = os.environ.get("WEB_APP_FOLDER")
        if not root:
            root = stack.enter_context(tempfile.TemporaryDirectory(prefix="web-app-"))
            await run_in_threadpool(write_samples, Path(root))
        share = 1 / int(os.environ.get("WEB_CONCURRENCY", "1"))
        async with asyncmr.Engine(share=share) as engine:
            yield {"engine": engine, "root": Path(root)}


class EventStream(StreamingResponse):
    """Server-sent events. When the client goes away, the generator behind it is closed at once, and with it its job."""

    def __init__(self, events: AsyncGenerator[str, None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._events = events

    async def stream_response(self, send: Send) -> None:
        # Starlette itself leaves a generator that it was cancelled in for the garbage collector to find.
        async with aclosing(self._events):
            await super().stream_response(send)


async def count(request: Request) -> Response:
    """POST /count/NAME: counts the words of a folder, and tells how far it is while it does."""
    # A name is looked up among the folders that there are. It never becomes a path.
    folders = await run_in_threadpool(folders_of, request.state.root)
    name = request.path_params["name"]
    if name not in folders:
        known = ", ".join(folders) or "none"
        return JSONResponse({"message": f"there is no folder {name!r}; there are: {known}"}, 404)
    return EventStream(events(request.state.engine, folders[name]))


async def events(engine: asyncmr.Engine, folder: Path) -> AsyncGenerator[str, None]:
    try:
        async with engine.start(top_words, folder) as running:
            async for progress in running.updates(interval=0.2):
                yield event("progress", progress.as_dict())
            result = await running
            words = [[word, count] for _, most in result for count, word in most]
            yield event("result", {"words": words, "report": result.report.as_dict()})
    except (
        asyncmr.AsyncMRError
    ) as error:  # its text names files and records: not for everybody's eyes elsewhere
        yield event("error", {"message": str(error)})


def event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def folders(request: Request) -> Response:
    """GET /folders: what can be counted."""
    return JSONResponse(list(await run_in_threadpool(folders_of, request.state.root)))


async def jobs(request: Request) -> Response:
    """GET /jobs: what this process works on."""
    running = request.state.engine.jobs
    return JSONResponse(
        [{"name": job.name, "started": job.started.isoformat(), "state": job.state} for job in running]
    )


async def page(_request: Request) -> Response:
    return FileResponse(Path(__file__).with_suffix(".html"))


def application() -> Starlette:
    routes = [
        Route("/", page),
        Route("/folders", folders),
        Route("/jobs", jobs),
        Route("/count/{name}", count, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def folders_of(root: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir()}


def write_samples(root: Path) -> None:
    """Two folders of text to play with, and an empty one, which is an error to count."""
    dice = random.Random(1)
    words = [
        f"{first}{second}"
        for first in ("ka", "lo", "mi", "nu", "re")
        for second in ("bel", "dan", "fir", "gost")
    ]
    for name, lines in SAMPLES.items():
        folder = root / name
        folder.mkdir()
        for number in range(4 if lines else 0):
            pick = partial(dice.choices, words, weights=range(len(words), 0, -1), k=12)
            some = [" ".join(pick()) for _ in range(500)]
            (folder / f"{number}.txt").write_text("\n".join(some * (lines // 2000)) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.environ["WEB_APP_FOLDER"] = sys.argv[1]
    # Without a limit to its patience it would wait, when told to stop, for every job that somebody still watches.
    uvicorn.run(application, factory=True, port=8000, timeout_graceful_shutdown=1)
