"""The endless job: feeds of lines, epochs, and state that outlives the process.

    async with asyncmr.streaming.Stream(job, feeds, state="counts") as stream:
        async for update in stream: ...

Read `stream.py` first (how it is wired); then `feed.py` (where lines come from), `epochs.py` (what is committed
together), `mapping.py`, `keepers.py` (who holds the state), `store.py` (where it is committed), `telling.py` with
`updates.py` and `outputs.py` (who is told of what changed), and `view.py` (what may be asked).

Names are loaded on first use, as those of `asyncmr` are.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncmr.kernel.results import JsonResults, ResultEncoder, Results
    from asyncmr.kernel.timestamps import Timestamp
    from asyncmr.streaming.exporting import Exported, export_state
    from asyncmr.streaming.feed import Batch, Clock, Feed, Origin, Surroundings
    from asyncmr.streaming.importing import Imported, import_state
    from asyncmr.streaming.inspecting import StateInfo, WindowKeys, inspect_state
    from asyncmr.streaming.sink import StreamSink
    from asyncmr.streaming.stream import Stream
    from asyncmr.streaming.view import StreamStats, Update, View, WindowInfo
    from asyncmr.streaming.windowing import Windowing
    from asyncmr.streaming.windows import Sliding, Tumbling

__all__ = [
    "Batch",
    "Clock",
    "Exported",
    "Feed",
    "Imported",
    "JsonResults",
    "Origin",
    "ResultEncoder",
    "Results",
    "Sliding",
    "StateInfo",
    "Stream",
    "StreamSink",
    "StreamStats",
    "Surroundings",
    "Timestamp",
    "Tumbling",
    "Update",
    "View",
    "WindowInfo",
    "WindowKeys",
    "Windowing",
    "export_state",
    "import_state",
    "inspect_state",
]

_HOME = {
    "Batch": "asyncmr.streaming.feed",
    "Clock": "asyncmr.streaming.feed",
    "Exported": "asyncmr.streaming.exporting",
    "Feed": "asyncmr.streaming.feed",
    "Imported": "asyncmr.streaming.importing",
    "JsonResults": "asyncmr.kernel.results",
    "Origin": "asyncmr.streaming.feed",
    "ResultEncoder": "asyncmr.kernel.results",
    "Results": "asyncmr.kernel.results",
    "Sliding": "asyncmr.streaming.windows",
    "StateInfo": "asyncmr.streaming.inspecting",
    "Stream": "asyncmr.streaming.stream",
    "StreamSink": "asyncmr.streaming.sink",
    "StreamStats": "asyncmr.streaming.view",
    "Surroundings": "asyncmr.streaming.feed",
    "Timestamp": "asyncmr.kernel.timestamps",
    "Tumbling": "asyncmr.streaming.windows",
    "Update": "asyncmr.streaming.view",
    "View": "asyncmr.streaming.view",
    "WindowInfo": "asyncmr.streaming.view",
    "WindowKeys": "asyncmr.streaming.inspecting",
    "Windowing": "asyncmr.streaming.windowing",
    "export_state": "asyncmr.streaming.exporting",
    "import_state": "asyncmr.streaming.importing",
    "inspect_state": "asyncmr.streaming.inspecting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
