"""Keys, values and statistics as JSON, and text as it may stand in a log."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from asyncmr.kernel.results import plain
from asyncmr.streaming.view import StreamStats, WindowInfo


def dumped(data: Any) -> str:
    """JSON on one line, without anything that a page or a log could mistake for its own."""
    return json.dumps(data, separators=(",", ":"))


class Json(Response):
    """An answer that is not kept by anybody on the way."""

    media_type = "application/json"

    def __init__(self, data: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(dumped(data) + "\n", status, {"Cache-Control": "no-store", **(headers or {})})


def ranked(pairs: list[tuple[Any, Any]]) -> list[dict[str, Any]]:
    """Keys and values as the rows of a list of the most frequent."""
    return [{"key": plain(key), "value": plain(value)} for key, value in pairs]


def window(info: WindowInfo) -> dict[str, Any]:
    """A window, as `/v1/windows` has it."""
    return {
        "start": info.start,
        "end": info.end,
        "keys": info.keys,
        "exact": info.exact,
        "state": info.state,
    }


def statistics(stats: StreamStats) -> dict[str, Any]:
    """How a stream is doing, as `/v1/stats` and the page have it."""
    return {
        "epoch": stats.epoch,
        "committed_at": stats.committed_at,
        "records": stats.records,
        "bytes": stats.bytes,
        "records_per_second": stats.records_per_second,
        "pairs": stats.pairs,
        "pairs_per_second": stats.pairs_per_second,
        "keys": stats.keys,
        "checkpoint_age": stats.checkpoint_age,
        "commit_seconds": stats.commit_seconds,
        "late": stats.late,
        "skipped": stats.skipped,
        "overflow": stats.overflow,
        "counters": {group: dict(counts) for group, counts in stats.counters.items()},
        "watermark": stats.watermark,
        "state_bytes": stats.state_bytes,
        "queues": [queue._asdict() for queue in stats.queues],
        "sources": [
            {
                "name": source.name,
                "guarantee": source.guarantee,
                "partitions": source.partitions,
                "position": source.position,
                "lag": source.lag,
            }
            for source in stats.sources
        ],
    }


def escaped(text: str) -> str:
    """Text from outside as it may stand in a log: on one line, without control characters, and not too long."""
    short = text if len(text) <= 200 else text[:200] + "..."
    return short.encode("unicode_escape").decode("ascii")
