"""What a person or a pipe sees of a run: pairs on standard output, progress bars on standard error."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from asyncmr.errors import AsyncMRError

if TYPE_CHECKING:
    from asyncmr.cli.bar import StageBar
    from asyncmr.progress import Progress
    from asyncmr.protocols import Encoder
    from asyncmr.result import PairStream

_OUR_FOLDER = str(Path(__file__).parent.parent) + os.sep
_OUR_FRAME = re.compile(rf'^  File "{re.escape(_OUR_FOLDER)}.*\n(?:    .*\n)*', re.MULTILINE)


def user_frames(text: str) -> str:
    """A traceback without the frames of asyncmr itself, or as it is when it has no others."""
    trimmed = _OUR_FRAME.sub("", text)
    return trimmed if '  File "' in trimmed else text


async def print_pairs(pairs: PairStream, encoder: Encoder, to: int) -> None:
    """Writes the pairs to a descriptor as the encoder has them, a block at a time."""
    async for keys, values in pairs.columns():
        await _write(encoder.encode(keys, values), to)


async def _write(data: bytes, to: int) -> None:
    """Writes all of `data` to a descriptor, however slowly that is read, without holding up the loop.

    The thread is a daemon, and not one of a pool's, because a write to a reader that has stopped reading
    never returns: Ctrl-C must end the process all the same. (O_NONBLOCK would be shared with whoever else has
    the terminal open, and stay on after we are gone.)
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: OSError | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def write() -> None:
        failure = None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(to, view) :]
        except OSError as error:
            failure = error
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(finish, failure)

    threading.Thread(target=write, name="asyncmr-stdout", daemon=True).start()
    try:
        await done
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AsyncMRError(f"standard output could not be written: {error.strerror}") from error


class Bars:
    """One progress bar a stage, on standard error."""

    def __init__(self) -> None:
        self._bars: dict[str, StageBar] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def show(self, progress: Progress) -> None:
        """Moves the bars to where `progress` is."""
        from asyncmr.cli.bar import StageBar

        for stage in progress.stages:
            bar = self._bars.get(stage.name)
            if bar is None:
                bar = self._bars[stage.name] = StageBar(stage, position=len(self._bars))
            bar.show(stage, *(_of_the_job(progress) if stage is progress.stages[-1] else ()))


def _of_the_job(progress: Progress) -> Iterator[str]:
    """What is to be said of no single stage."""
    if progress.disk:
        yield f"{progress.disk / 1e6:,.0f} MB on disk"
    if progress.state == "committing":
        yield "finishing the output"
