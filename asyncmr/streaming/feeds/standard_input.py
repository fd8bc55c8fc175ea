"""What is piped into the process."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Mapping
from typing import Literal

from asyncmr.connectors.pipe_blocks import read_available
from asyncmr.errors import InputError
from asyncmr.storage.disk import translated
from asyncmr.streaming.feed import Batch, Position, Surroundings
from asyncmr.streaming.feeds.lines import LineCutter
from asyncmr.streaming.feeds.readiness import readable

_log = logging.getLogger("asyncmr")

_LONG = 3600.0


class StandardInputFeed:
    """Standard input, to its end; at most once: what was read when the stream died is gone.

    A line beyond the limit is left out, counted in `refused`, and told. The last line may lack its end. While the
    stream has no room nothing is read, and whoever writes waits.

        Stream(job, StandardInputFeed())
    """

    guarantee: Literal["at-most-once"] = "at-most-once"
    name = "stdin:"

    def __init__(self) -> None:
        self.refused = 0

    async def batches(
        self, positions: Mapping[str, Position], surroundings: Surroundings, /
    ) -> AsyncGenerator[Batch, None]:
        """Ends where the input ends. Standard input itself stays open.

        Raises:
            InputError: it is closed, or cannot be read.
        """
        clock = surroundings.clock
        cutter = LineCutter(surroundings.line_limit)
        descriptor = -1
        try:
            descriptor = os.dup(0)  # so that whoever else listens to it is not disturbed
            ended = False
            waits = True
            while not ended:
                if waits:
                    try:
                        await readable(descriptor, clock, _LONG)
                    except PermissionError:  # a file or /dev/null, where there is always something to read
                        waits = False
                block, ended, _ = await surroundings.disk.run(read_available, descriptor)
                data = cutter.feed(block)
                if ended:
                    data += cutter.last()
                if cutter.refused > self.refused:
                    self.refused = cutter.refused
                    _log.warning(
                        "stdin: a line was left out: it is longer than the limit, %s bytes",
                        f"{surroundings.line_limit:,}",
                    )
                if data:
                    yield Batch(data, "", None, clock.time())
        except OSError as error:
            raise translated(error, "read", "<stdin>", raises=InputError) from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)
