"""A folder that files are put into."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from time import perf_counter
from typing import Literal

from asyncmr.errors import InputError
from asyncmr.storage.disk import translated
from asyncmr.streaming.feed import Batch, Position, Surroundings
from asyncmr.streaming.feeds.done_files import files_done
from asyncmr.streaming.feeds.folder_files import FolderFiles, FolderPiece

SETTLE = 1.0

# Seconds between two looks at a folder, each one system call while it has no new name: what a new file may wait.
_LOOK = 0.1
# Of a large folder a look takes long: so many times that is between two.
_REST = 20


class FolderFeed:
    """The files of a folder, those that come later too, each read once; exactly once.

    A file is taken when it is whole, which is told by its not having changed for `settle` seconds. Better make it
    elsewhere on the same disk, or under a name that begins with a dot or ends in `.tmp`, `.part`, `.partial` or `~`,
    and rename it: such names are left alone, as are those that begin with `_`, and folders within. What is compressed
    (`.gz`, `.bz2`, `.xz`, `.zst`) is decompressed.

    What was read is known by name and inode: give every file a name of its own. One that is changed later is not read
    again, and told. One that is damaged or not readable is told, counted in `damaged`, and left out from there on; so
    is, counted in `refused`, a line beyond the limit.

        Stream(job, FolderFeed("/srv/incoming"))
    """

    guarantee: Literal["exactly-once"] = "exactly-once"

    def __init__(self, path: str | os.PathLike[str], *, settle: float = SETTLE) -> None:
        self._path = os.path.abspath(path)
        self._settle = settle
        self.name = f"dir:{self._path}"
        self.refused = self.damaged = 0
        self.lag: int | None = None

    def place(self, positions: Mapping[str, Position]) -> str:
        """How far it has been read, for people."""
        done = files_done(positions)
        begun = sum(len(position["begun"]) for position in positions.values())
        return f"{done:,} files" + (f", and a part of {begun:,}" if begun else "")

    async def batches(
        self, positions: Mapping[str, Position], surroundings: Surroundings, /
    ) -> AsyncGenerator[Batch, None]:
        """Never ends. A batch without data moves the position alone.

        Raises:
            InputError: the folder is not there, or cannot be read.
        """
        disk, clock = surroundings.disk, surroundings.clock
        files: FolderFiles | None = None
        try:
            while True:
                now = clock.time()
                try:
                    if files is None:
                        files = await disk.run(
                            FolderFiles,
                            self._path,
                            positions,
                            block_bytes=surroundings.batch_bytes,
                            line_limit=surroundings.line_limit,
                            settle=self._settle,
                        )
                    began = perf_counter()
                    piece, self.lag = await disk.run(_look, files, now)
                    took = perf_counter() - began
                except OSError as error:
                    raise translated(error, "look into", self._path, raises=InputError) from error
                self.refused, self.damaged = files.refused, files.damaged
                if piece.position is not None:
                    yield Batch(piece.data, piece.partition, piece.position, now, origin=piece.origin)
                elif not piece.more:
                    await clock.sleep(max(_LOOK, took * _REST))
        finally:
            if files is not None:
                files.close()


def _look(files: FolderFiles, now: float) -> tuple[FolderPiece, int]:
    return files.read(now), files.lag()
