"""A log that others write, followed through its rotations."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from typing import Literal

from asyncmr.errors import InputError
from asyncmr.storage.disk import translated
from asyncmr.streaming.feed import Batch, Position, Surroundings
from asyncmr.streaming.feeds.log_files import LogFiles

# Seconds between two looks at a log that has nothing new: what a line may wait, at 50 microseconds of a thread a look.
_LOOK = 0.05

LINGER = 5.0


class TailFeed:
    """Follows a log, as `tail -F` does, from its beginning on; exactly once.

    A log that is renamed (`app.log.1`, `app.log-20261121`, `app-2026-11-21.log`) is read to its end, and for `linger`
    seconds after its last line, before it is let go; so are logs that it was rotated to while the stream was down,
    unless they are compressed by then: let logrotate `delaycompress`. Of one that is copied and truncated, the rest is
    read from the copy. What is written between the copying and the truncation is lost to everybody.

    A line without its end waits for it. One longer than a batch is left out, counted in `refused`, and told.

        Stream(job, TailFeed("/var/log/app.log"))

    Its position knows a file by device, inode, and hashes of its first kilobyte and of what stands before the offset.
    """

    guarantee: Literal["exactly-once"] = "exactly-once"

    def __init__(self, path: str | os.PathLike[str], *, linger: float = LINGER) -> None:
        self._path = os.path.abspath(path)
        self._linger = linger
        self.name = f"tail:{self._path}"
        self.refused = 0
        self.lag: int | None = None

    def place(self, positions: Mapping[str, Position]) -> str:
        """How far it has been read, for people."""
        files = positions[""]["files"] if "" in positions else []
        if not files:
            return "nothing yet"
        earlier = f", and {len(files) - 1} rotated before it" if len(files) > 1 else ""
        return f"byte {files[-1]['offset']:,}{earlier}"

    async def batches(
        self, positions: Mapping[str, Position], surroundings: Surroundings, /
    ) -> AsyncGenerator[Batch, None]:
        """Never ends. A file that is not there is waited for.

        Its first batch, where there was no position, has no data: from then on nothing is lost to a rotation.

        Raises:
            InputError: the log, or its folder, cannot be read.
        """
        disk, clock = surroundings.disk, surroundings.clock
        block_bytes = max(surroundings.batch_bytes, surroundings.line_limit)
        files = LogFiles(self._path, positions.get(""), block_bytes=block_bytes, linger=self._linger)
        begun = "" in positions
        try:
            while True:
                now = clock.time()
                try:
                    piece = await disk.run(files.read, now)
                except OSError as error:
                    raise translated(error, "follow", self._path, raises=InputError) from error
                self.refused, self.lag = files.refused, files.lag
                if not begun and files.position()["files"]:
                    begun = True
                    yield Batch(b"", "", files.position(), now)
                if piece.data:
                    yield Batch(piece.data, "", files.position(), now, origin=piece.origin)
                elif not piece.more:
                    await clock.sleep(_LOOK)
        finally:
            files.close()
