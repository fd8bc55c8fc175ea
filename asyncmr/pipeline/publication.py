"""What a job shows at its end: its output and its dead letters, both or neither."""

from __future__ import annotations

from functools import partial

from anyio import CancelScope

from asyncmr.connectors.dead_letters import DeadLetters
from asyncmr.protocols import Sink
from asyncmr.storage.disk import Disk
from asyncmr.storage.journal import Journal

# Under this name the journal has that the dead letters are about to be visible.
_LETTERS = "letters"


class Publication:
    """The sink of a job with the `letters` that go with it, if any. `abort` follows an `open` that has no `commit`."""

    def __init__(self, sink: Sink, letters: DeadLetters | None, disk: Disk, journal: Journal | None) -> None:
        self._sink = sink
        self._disk = disk
        self._journal = journal
        self.letters = letters

    async def open(self) -> None:
        """Makes both ready.

        Raises:
            OutputError: one of them cannot be written where it should be.
        """
        try:
            if self.letters is not None:
                # An earlier run of the job may have shown them, and been killed before it showed the output.
                shown = self._journal is not None and bool(self._journal.noted(_LETTERS))
                await self.letters.open(self._disk, replace=shown)
            await self._sink.open(self._disk)
        except BaseException:
            await self._close_letters()
            raise

    async def commit(self) -> None:
        """Shows both.

        Raises:
            OutputError: one of them cannot be shown; neither is.
        """
        if self.letters is None:
            await self._sink.commit()
            return
        try:
            await self.show_letters()
            await self._sink.commit()
        except BaseException:
            with CancelScope(shield=True):
                await self.letters.withdraw()
            raise

    async def show_letters(self) -> None:
        """Shows the letters alone, of a job that failed because they are too many."""
        if self.letters is None:
            return
        if self._journal is not None:
            await self._disk.run(partial(self._journal.note, **{_LETTERS: "yes"}))
        await self.letters.publish()

    async def abort(self) -> None:
        """The job failed or was cancelled: shows nothing but what is shown already."""
        try:
            await self._sink.abort()
        finally:
            await self._close_letters()

    async def _close_letters(self) -> None:
        if self.letters is not None:
            with CancelScope(shield=True):
                await self.letters.close()
