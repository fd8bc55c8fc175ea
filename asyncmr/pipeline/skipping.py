"""What a job has left out: it is counted, held against the limit, and told at the end.

What a task tells of its skipped records are blocks in the store, and they are the job's when the task commits. Only at
the end are they read, in the order of stages, tasks and records, and the lines of all that came from one file are
numbered in one pass over it.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from asyncmr.connectors.dead_letters import DeadLetters
from asyncmr.connectors.line_numbers import LineNumbers
from asyncmr.errors import RemoteTraceback, SkipLimitError
from asyncmr.kernel.failures import EXCERPT
from asyncmr.kernel.leftout import Entry, LeftOut
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.suspects import Suspects
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.pipeline.trails import Trail, Trails
from asyncmr.protocols import Piece
from asyncmr.report import LISTED, Skipped
from asyncmr.storage.block import Block
from asyncmr.storage.disk import Disk
from asyncmr.storage.runs import BlockStore

# How much of a record a dead letter holds, in characters.
LETTER = 64 << 10
# So many letters are written in one trip to a thread.
_TRIP = 1000
_END = object()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What one task told. `key`: it is about keys. `pieces`: the split that its records came from."""

    stage: str
    task: int
    key: bool
    blocks: tuple[Block, ...]
    pieces: tuple[Piece, ...]


class Skipping:
    """One job's. `letters`: whether whole records are wanted, for a file of dead letters."""

    def __init__(
        self,
        ledger: Ledger,
        store: BlockStore,
        disk: Disk,
        trails: Trails,
        tolerance: Tolerance,
        *,
        letters: bool,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._disk = disk
        self._trails = trails
        self._limit = tolerance.skip_limit
        self._letter = LETTER if letters else EXCERPT
        self._kept: list[_Kept] = []
        self._total = 0

    @property
    def total(self) -> int:
        """How many records and keys were left out."""
        return self._total

    def trail(self, suspects: Suspects) -> Trail:
        """What one more attempt at a task is guarded by."""
        return self._trails.trail(suspects, self._letter, self._most)

    def left_out(self) -> LeftOut:
        """Where a task that runs on the event loop notes what it leaves out."""
        return LeftOut(self._letter, self._most)

    @property
    def _most(self) -> int | None:
        """How many may still be left out."""
        return self._limit - self._total if isinstance(self._limit, int) else None

    async def keep(
        self,
        stage: str,
        task: int,
        blocks: Sequence[Block],
        skipped: int,
        *,
        key: bool = False,
        pieces: tuple[Piece, ...] = (),
    ) -> None:
        """Counts what a task has left out. `key`: keys, and not records.

        Raises:
            SkipLimitError: that is more than may be.
        """
        self._kept.append(_Kept(stage, task, key, tuple(blocks), pieces))
        self._total += skipped
        if isinstance(self._limit, int) and self._total > self._limit:
            what = "1 record or key was" if self._total == 1 else f"{self._total:,} records and keys were"
            raise await self._exceeded(f"{what} skipped")

    async def check_share(self) -> None:
        """Called when all records of the source were read.

        Raises:
            SkipLimitError: too large a share of them was skipped.
        """
        if not isinstance(self._limit, float):
            return
        records = self._ledger.records_read()
        if self._total > self._limit * records:
            raise await self._exceeded(f"{self._total:,} were skipped of {records:,} records")

    async def tell(self, letters: DeadLetters | None) -> list[Skipped]:
        """The first that were skipped; writes all to `letters`.

        Raises:
            OutputError: that could not be written.
        """
        first: list[Skipped] = []
        if not self._kept:
            return first
        lines = LineNumbers()
        try:
            for kept in self._in_order():
                for block in kept.blocks:
                    if letters is None and len(first) == LISTED:
                        return first
                    steps = self._told(kept, await self._store.read(block), lines, first, letters)
                    while await self._disk.run(next, steps, _END) is not _END:
                        pass
        finally:
            await self._disk.run(lines.close)
        return first

    def _told(
        self,
        kept: _Kept,
        block: bytes,
        lines: LineNumbers,
        first: list[Skipped],
        letters: DeadLetters | None,
    ) -> Iterator[None]:
        """Tells of what a block holds. Blocks, and pauses now and then, so that it can be given up."""
        for number, told in enumerate(marshal.loads(block)):
            if letters is None and len(first) == LISTED:
                return
            entry = Entry(*told)
            path, offset = _place(entry, kept.pieces)
            line = None
            if path is not None and offset is not None:
                yield from lines.seek(path, offset)
                line = lines.line
            if len(first) < LISTED:
                first.append(_skipped(kept, entry, path, line))
            if letters is not None:
                letters.write(_letter(self._ledger.job, kept, entry, path, line, offset))
            if number % _TRIP == 0:
                yield

    def _in_order(self) -> list[_Kept]:
        stages = {stage: number for number, stage in enumerate(self._ledger.stages)}
        return sorted(self._kept, key=lambda kept: (stages.get(kept.stage, len(stages)), kept.task))

    async def _exceeded(self, what: str) -> SkipLimitError:
        kept = self._in_order()[0]
        entry = Entry(*marshal.loads(await self._store.read(kept.blocks[0]))[0])
        (first, *_) = await self.tell(None)
        job = self._ledger.job
        error = SkipLimitError(
            f"job {job!r}: {what}, more than skip_limit={self._limit!r} allows\n  the first: {first}",
            skipped=self._total,
            limit=self._limit or 0,
            job=job,
            stage=first.stage,
            exception=first.error,
            path=first.path,
            line=first.line,
            excerpt=first.record if first.key is None else first.key,
        )
        error.__cause__ = RemoteTraceback(entry.trace or f"{entry.error}: {entry.message}")
        return error


def _place(entry: Entry, pieces: tuple[Piece, ...]) -> tuple[str | None, int | None]:
    """The file that a record came from, and where in it; no file if it came from none."""
    if entry.position is not None:
        for piece in reversed(pieces):
            if piece.start <= entry.position:
                if not piece.path:
                    return None, None
                offset = piece.offset
                return piece.path, None if offset is None else offset + entry.position - piece.start
    return None, None


def _skipped(kept: _Kept, entry: Entry, path: str | None, line: int | None) -> Skipped:
    text = entry.text[:EXCERPT]
    if entry.cut or len(entry.text) > EXCERPT:
        text = text[: EXCERPT - 3] + "..."
    record, key = (None, text) if kept.key else (text, None)
    return Skipped(kept.stage, path, line, record, key, entry.error, entry.message)


def _letter(
    job: str, kept: _Kept, entry: Entry, path: str | None, line: int | None, offset: int | None
) -> bytes:
    letter: dict[str, Any] = {"job": job, "stage": kept.stage}
    if kept.key:
        letter["key"] = entry.text
    else:
        letter |= {"path": path, "line": line, "offset": offset}
        letter["record"] = entry.text
    letter |= {"error": entry.error, "message": entry.message}
    if entry.cut:
        letter["truncated"] = True
    try:
        return json.dumps(letter, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(letter).encode() + b"\n"
