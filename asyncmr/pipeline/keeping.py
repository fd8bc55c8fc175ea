"""What tasks made, kept for a later process, and what an earlier run of the job kept.

A committed task is asked for before it would run. If all that it made is there and whole, that counts; otherwise its
epoch is taken back, and it runs again. An epoch also knows from what input it was made.
"""

from __future__ import annotations

import zlib
from array import array
from typing import Any

from anyio import CancelScope
from xxhash import xxh3_64_intdigest

from asyncmr.connectors.streamed import StoredPart
from asyncmr.errors import CorruptRunError, ResumeError
from asyncmr.pipeline.attempts import Done, Tries
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.stored import StoredParts
from asyncmr.protocols import PartWriter, Sink, Split
from asyncmr.storage.disk import Disk
from asyncmr.storage.durable_log import DurableLog
from asyncmr.storage.durable_store import DurableStore, packed, unpacked
from asyncmr.storage.epochs import Epoch

# Under this name, beside the stages, the journal has the epoch that a step is finished. It counts nothing.
_STEP = "step"


class Keeping:
    """Keeps what the tasks of one step make."""

    def __init__(self, log: DurableLog, store: DurableStore, sink: Any, disk: Disk) -> None:
        self._log = log
        self._store = store
        self._sink = sink
        self._disk = disk

    async def basis(self, split: Split, bounds: bytes) -> int:
        """A number that tells the input of a map task from others."""
        data = split.data if split.buffer is None else split.buffer.view[: split.length]
        try:
            return await self._disk.run(xxh3_64_intdigest, data, zlib.crc32(bounds))
        finally:
            if isinstance(data, memoryview):
                data.release()

    async def taken(self, stage: str, task: int, basis: int = 0) -> Done[Made] | None:
        """What an earlier run of the job committed as this task, if all of it is whole.

        Raises:
            ResumeError: it was made from another input.
        """
        found = await self._log.saved(stage, task)
        if found is None:
            return None
        epoch, places = found
        if epoch.answer.get("basis", 0) != basis:
            raise ResumeError(
                f"stage {stage!r}, split {task}: its input is not what it was when the journal was written, although "
                "its files have the same sizes and times; remove the journal, and run the job from its beginning"
            )
        made = Made(self._store, self._sink, epoch.attempt)
        try:
            await self._restore(made, places)
        except BaseException as error:
            with CancelScope(shield=True):
                await made.discard()
            if not isinstance(error, CorruptRunError):
                raise
            await self._log.drop(stage, task)
            return None
        return Done(made, dict(epoch.answer), {}, Tries())

    async def finished(self, prefix: str) -> dict[int, PartWriter] | None:
        """All parts of the step, if an earlier run of the job had them and they are whole."""
        done = await self.taken(f"{prefix}{_STEP}", 0)
        return None if done is None else done.outcome.parts

    async def finish(self, prefix: str, parts: dict[int, PartWriter]) -> None:
        """The step has all of its parts."""
        made = Made(self._store, self._sink, 1)
        made.parts = parts
        await self._log.save(Epoch(f"{prefix}{_STEP}", 0, 1), await self.places(made))

    async def places(self, made: Made) -> dict[str, Any]:
        """Where all of it lies, as plain JSON data; it is safe by then."""
        store = self._store
        return {
            "runs": [[flush, await store.place(block), packed(shares)] for flush, block, shares in made.runs],
            "loose": [await store.place(block) for block in made.loose],
            "skipped": [[role, await store.place(block)] for role, block in made.skipped],
            "parts": [[index, await self._place(writer)] for index, writer in sorted(made.parts.items())],
        }

    async def _place(self, writer: Any) -> Any:
        if isinstance(writer, StoredPart):
            return [await self._store.place(block) for block in writer.blocks]
        return await writer.kept()

    async def _restore(self, made: Made, places: dict[str, Any]) -> None:
        restored = self._store.restored
        for flush, place, shares in places["runs"]:
            made.runs.append((flush, await restored(place), array("I", unpacked(shares))))
        for place in places["loose"]:
            made.loose.append(await restored(place))
        for role, place in places["skipped"]:
            made.skipped.append((role, await restored(place)))
        for index, place in places["parts"]:
            if isinstance(self._sink, StoredParts):
                writer = made.parts[index] = StoredPart(self._store)
                for block in place:
                    writer.blocks.append(await restored(block))
            else:
                made.parts[index] = await self._sink.restored(index, place)


def keeping(log: object, store: object, sink: Sink, disk: Disk) -> Keeping | None:
    """What keeps the work of a step with this sink, where the job can be resumed."""
    if isinstance(log, DurableLog) and isinstance(store, DurableStore):
        return Keeping(log, store, sink, disk)
    return None
