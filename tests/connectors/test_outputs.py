"""What a caller means by an output."""

from __future__ import annotations

import pytest

from asyncmr.connectors.journaled_parts import JournaledParts
from asyncmr.connectors.memory import Collected
from asyncmr.connectors.outputs import output_of
from asyncmr.connectors.part_files import PartFiles
from asyncmr.errors import UsageError
from asyncmr.kernel.formats import TextFormat
from asyncmr.kernel.json_lines import JsonFormat


def test_a_path_is_a_folder_of_part_files_in_the_format(tmp_path) -> None:
    for name, encoder in (("text", TextFormat()), ("jsonl", JsonFormat())):
        sink, journal = output_of(tmp_path / "out", name, None)
        assert isinstance(sink, PartFiles)
        assert (sink.encoder, journal) == (encoder, None)


def test_a_job_that_can_be_resumed_has_a_journal(tmp_path) -> None:
    sink, journal = output_of(str(tmp_path / "out"), "text", tmp_path / "journal")
    assert isinstance(sink, JournaledParts)
    assert journal is not None


def test_a_sink_is_itself() -> None:
    sink = Collected()
    assert output_of(sink, "text", None) == (sink, None)


@pytest.mark.parametrize(
    ("output", "format", "resume", "says"),
    [
        ("", "text", None, "empty name"),
        ("out", "csv", None, "format='csv' is not known"),
        (5, "text", None, "an int is no output"),
        (Collected(), "jsonl", None, "a Collected has a format of its own"),
        (Collected(), "text", "journal", "for an output folder"),
    ],
)
def test_anything_else_is_refused(output, format, resume, says) -> None:
    with pytest.raises(UsageError, match=says):
        output_of(output, format, resume)
