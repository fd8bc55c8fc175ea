"""What a caller means by an output folder: the sink that writes it."""

from __future__ import annotations

import os

from asyncmr.connectors.journaled_parts import JournaledParts
from asyncmr.connectors.part_files import PartFiles
from asyncmr.errors import UsageError
from asyncmr.kernel.formats import format_of
from asyncmr.storage.journal import Journal

Path = str | os.PathLike[str]


def output_of(
    output: Path, format: str, resume: Path | None
) -> tuple[PartFiles | JournaledParts, Journal | None]:
    """The sink for the folder `output` and, of a job that can be resumed, the journal in the folder `resume`.

    Raises:
        UsageError: the folder has no name, or the format is not known.
    """
    if not os.fspath(output):
        raise UsageError("the output folder has an empty name; '.' is the current folder")
    folder, encoder = os.fspath(output), format_of(format)
    if resume is None:
        return PartFiles(folder, encoder), None
    journal = Journal(resume)
    return JournaledParts(folder, encoder, journal), journal
