"""What a caller means by an output: the sink that writes it."""

from __future__ import annotations

import os

from asyncmr.connectors.journaled_parts import JournaledParts
from asyncmr.connectors.part_files import PartFiles
from asyncmr.connectors.sources import a
from asyncmr.errors import UsageError
from asyncmr.kernel.formats import format_of
from asyncmr.protocols import Sink, is_sink
from asyncmr.storage.journal import Journal

Path = str | os.PathLike[str]


def output_of(output: Path | Sink, format: str, resume: Path | None) -> tuple[Sink, Journal | None]:
    """The sink for the folder `output`, or `output` itself, and of a job that can be resumed the journal in `resume`.

    Raises:
        UsageError: the folder has no name, the format is not known, or one of them is not for such a sink.
    """
    encoder = format_of(format)
    if not isinstance(output, str | os.PathLike):
        if not is_sink(output):
            raise UsageError(f"{a(output)} is no output; pass the path of a folder, or a Sink")
        if resume is not None or format != "text":
            raise UsageError(
                f"resume= and format= are for an output folder; {a(output)} has a format of its own, "
                "and nobody knows how to go on with it"
            )
        return output, None
    if not os.fspath(output):
        raise UsageError("the output folder has an empty name; '.' is the current folder")
    folder = os.fspath(output)
    if resume is None:
        return PartFiles(folder, encoder), None
    journal = Journal(resume)
    return JournaledParts(folder, encoder, journal), journal
