"""The endless job: feeds of lines, epochs, and state that outlives the process.

    async with asyncmr.streaming.Stream(job, feeds, state="counts") as stream:
        async for update in stream: ...

Read `stream.py` first (how it is wired); then `feed.py` (where lines come from), `epochs.py` (what is committed
together), `mapping.py`, `keepers.py` (who holds the state), `store.py` (where it is committed), `telling.py` with
`updates.py` and `outputs.py` (who is told of what changed), and `view.py` (what may be asked).

Names are loaded on first use, as those of `asyncmr` are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmr.lazy import loading

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
    "Batch": "streaming.feed",
    "Clock": "streaming.feed",
    "Exported": "streaming.exporting",
    "Feed": "streaming.feed",
    "Imported": "streaming.importing",
    "JsonResults": "kernel.results",
    "Origin": "streaming.feed",
    "ResultEncoder": "kernel.results",
    "Results": "kernel.results",
    "Sliding": "streaming.windows",
    "StateInfo": "streaming.inspecting",
    "Stream": "streaming.stream",
    "StreamSink": "streaming.sink",
    "StreamStats": "streaming.view",
    "Surroundings": "streaming.feed",
    "Timestamp": "kernel.timestamps",
    "Tumbling": "streaming.windows",
    "Update": "streaming.view",
    "View": "streaming.view",
    "WindowInfo": "streaming.view",
    "WindowKeys": "streaming.inspecting",
    "Windowing": "streaming.windowing",
    "export_state": "streaming.exporting",
    "import_state": "streaming.importing",
    "inspect_state": "streaming.inspecting",
}

__getattr__ = loading(__name__, _HOME)
