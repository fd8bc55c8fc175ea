"""polars with its streaming engine: what is possible where the work can be said in expressions.

It takes no memory limit; one is set from outside.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from benchmarks.peers.task import Peer, Task

_Plan = Callable[[Any, Any], Any]


def _query(plan: _Plan, *, log: bool = False) -> Callable[[Task], None]:
    def run(task: Task) -> None:
        os.environ["POLARS_MAX_THREADS"] = str(task.workers)
        os.environ["POLARS_TEMP_DIR"] = str(task.scratch)
        import polars

        task.begins()
        if log:
            frame = polars.scan_ndjson(task.inputs, schema={"user": polars.String, "bytes": polars.Int64})
        else:
            frame = polars.scan_csv(
                task.inputs,
                has_header=False,
                separator="\x01",
                quote_char=None,
                schema={"line": polars.String},
            )
        plan(polars, frame).sink_csv(
            task.part(0), include_header=False, separator="\t", quote_style="never", engine="streaming"
        )

    return run


def _word_count(pl: Any, lines: Any) -> Any:
    words = lines.select(pl.col("line").str.split(" ").alias("word")).explode("word")
    return words.group_by("word").len()


def _postings(pl: Any, lines: Any) -> Any:
    halves = lines.select(pl.col("line").str.split("\t").alias("halves"))
    documents = halves.select(
        pl.col("halves").list.get(0).cast(pl.UInt32).alias("document"),
        pl.col("halves").list.get(1).str.split(" ").list.unique().alias("word"),
    )
    return documents.explode("word").group_by("word")


def _index(pl: Any, lines: Any) -> Any:
    groups = _postings(pl, lines).agg(pl.col("document").sort())
    return groups.select("word", pl.col("document").cast(pl.List(pl.String)).list.join(" "))


def _frequencies(pl: Any, lines: Any) -> Any:
    document = pl.col("document")
    groups = _postings(pl, lines).agg(
        document.len().alias("number"), document.cast(pl.Int64).sum().alias("sum")
    )
    return groups.select("word", pl.format("{} {}", "number", "sum"))


def _traffic(pl: Any, log: Any) -> Any:
    size = pl.col("bytes")
    groups = log.group_by("user").agg(
        size.sum().alias("sum"), size.len().alias("number"), size.max().alias("most")
    )
    mean = (pl.col("sum") / pl.col("number")).map_batches(
        lambda column: pl.Series([f"{value:.3f}" for value in column]), return_dtype=pl.String
    )
    return groups.select("user", pl.format("{} {} {}", "sum", mean, "most"))


def _sort(_pl: Any, lines: Any) -> Any:
    return lines.sort("line")


def _groups(pl: Any, lines: Any) -> Any:
    halves = lines.select(pl.col("line").str.split("\t").alias("halves"))
    pairs = halves.select(
        pl.col("halves").list.get(0).alias("key"),
        pl.col("halves").list.get(1).str.slice(0, 6).cast(pl.Int64).alias("value"),
    )
    groups = pairs.group_by("key").agg(
        pl.col("value").len().alias("number"), pl.col("value").sum().alias("sum")
    )
    return groups.select("key", pl.format("{} {}", "number", "sum"))


PEER = Peer(
    "polars (expressions)",
    {
        "W1": _query(_word_count),
        "W2": _query(_index),
        "W3": _query(_traffic, log=True),
        "W4": _query(_sort),
        "wordcount": _query(_word_count),
        "index": _query(_frequencies),
        "sort": _query(_sort),
        "hot": _query(_groups),
        "unique": _query(_groups),
    },
    modules=("polars",),
)
