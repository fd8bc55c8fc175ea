"""Lines on which a mapper failed, of a stream that leaves them out: found in their split, limited, told in the log."""

from __future__ import annotations

import logging
import marshal
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from asyncmr.errors import SkipLimitError
from asyncmr.kernel.leftout import Entry
from asyncmr.protocols import Piece

FAILED = "failed"
"""The reason for which they are aside."""

# Seconds between two messages in the log.
_PAUSE = 10.0

_log = logging.getLogger(__name__)


class Failed(NamedTuple):
    """Lines of one split: how many, they, where the first of them is, and what it raised."""

    number: int
    lines: bytes
    place: str
    error: str


def failed_lines(data: bytes, blocks: Iterable[bytes], pieces: Sequence[Piece]) -> Failed | None:
    """What a task told in `blocks` that it left out of its split. `pieces`: where that came from."""
    entries = [Entry(*told) for block in blocks for told in marshal.loads(block)]
    if not entries:
        return None
    lines = [_line(data, entry) for entry in entries]
    first = entries[0]
    return Failed(len(lines), b"".join(lines), _place(first, pieces), f"{first.error}: {first.message}")


class FailureLimit:
    """Holds what the job called `job` leaves out against `limit`, a number for the life of its state, None for any; and
    tells of it now and then."""

    def __init__(self, job: str, limit: int | None) -> None:
        self._job = job
        self._limit = limit
        self._told: float | None = None
        self._untold = 0

    def check(self, before: int, failed: Sequence[Failed]) -> None:
        """Called before these are committed, beside so many that were.

        Raises:
            SkipLimitError: together they are too many.
        """
        total = before + sum(some.number for some in failed)
        if failed and self._limit is not None and total > self._limit:
            raise SkipLimitError(
                f"job {self._job!r}: the mapper failed on {total:,} lines since the state was made, more than "
                f"skip_limit={self._limit} allows; one of them: {failed[0].place}: {failed[0].error}. What was read "
                "since the last commit is read again: mend the mapper or the input, or raise the limit",
                skipped=total,
                limit=self._limit,
                job=self._job,
                stage="map",
            )

    def tell(self, total: int, failed: Sequence[Failed], now: float) -> None:
        """These were committed, and are so many by now; at a moment of the clock."""
        if not failed:
            return
        self._untold += sum(some.number for some in failed)
        if self._told is not None and 0 <= now - self._told < _PAUSE:
            return
        _log.warning(
            "job %r: the mapper failed on %s more lines, %s by now, which are set aside; for instance %s: %r",
            self._job,
            f"{self._untold:,}",
            f"{total:,}",
            failed[0].place,
            failed[0].error,
        )
        self._told, self._untold = now, 0


def _line(data: bytes, entry: Entry) -> bytes:
    if entry.position is None:
        return entry.text.encode("utf-8", "replace") + b"\n"
    end = data.find(b"\n", entry.position)
    return data[entry.position :] + b"\n" if end < 0 else data[entry.position : end + 1]


def _place(entry: Entry, pieces: Sequence[Piece]) -> str:
    if entry.position is not None:
        for piece in reversed(pieces):
            if piece.start <= entry.position:
                behind = entry.position - piece.start
                return piece.path if piece.offset is None else f"{piece.path}, byte {piece.offset + behind:,}"
    return "nobody knows where"
