"""A sink's file that is killed while it writes, and whether what it holds in the end is right."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from asyncmr.streaming.feed import Surroundings
from asyncmr.streaming.feeds.file_mark import FileMark
from asyncmr.streaming.sinks import JsonLinesFile
from asyncmr.streaming.sinks.output_file import OutputFile


class FatalFile(OutputFile):
    """Dies with half an epoch written, before what was written is forced to the disk, and after that."""

    reach: Callable[[str], None]

    def append(self, parts: Sequence[bytes]) -> None:
        data = b"".join(parts)
        super().append([data[: len(data) // 2]])
        self.reach("written in part")
        super().append([data[len(data) // 2 :]])

    def sync(self) -> None:
        self.reach("written")
        super().sync()
        self.reach("synced")


class CarelessFile(FatalFile):
    """Leaves what was not committed: a mutant."""

    @classmethod
    def resume(cls, path: str, committed: dict[str, Any]) -> CarelessFile:
        fd = os.open(path, os.O_RDWR)
        return cls(path, fd, FileMark.at(fd, os.fstat(fd).st_size))


class FatalLines(JsonLinesFile):
    """Writes to such a file, and forces it to the disk even where the state is not."""

    def __init__(self, path: Path, kind: type[FatalFile], reach: Callable[[str], None]) -> None:
        super().__init__(path)

        class File(kind):  # type: ignore[valid-type, misc]
            pass

        File.reach = staticmethod(reach)
        self.files = File

    async def open(self, position: Any, surroundings: Surroundings) -> Any:
        return await super().open(position, replace(surroundings, durable=True))


def rightly_written(path: Path, oracle: Mapping[str, int]) -> bool:
    """Whether the file has each epoch once, in their order, and ends with what the oracle says. Every epoch has
    changed the key "all"; no value ever decreases."""
    try:
        changes = [json.loads(line) for line in path.read_text().splitlines()]
    except ValueError:
        return False
    epochs = [line["epoch"] for line in changes if line["key"] == "all"]
    values: dict[str, list[int]] = {}
    for line in changes:
        values.setdefault(line["key"], []).append(line["value"])
    return (
        epochs == list(range(1, len(epochs) + 1))
        and all(sorted(set(counts)) == counts for counts in values.values())
        and {key: counts[-1] for key, counts in values.items()} == oracle
    )
