"""Cutting a source into portions: every record once, in order, numbered without a gap, wherever splits end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncmr
from asyncmr.actors import Crew, open_channel
from asyncmr.connectors.text import TextFiles
from asyncmr.pipeline import portions
from asyncmr.pipeline.portions import Portion, PortionReader, SplitPortion
from asyncmr.storage.disk import Disk


async def read(source, *, records=4, size=1 << 20):
    """The portions of a source."""
    context: Any = SimpleNamespace(keeping=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portions, "RECORDS", records)
        patch.setattr(portions, "BYTES", size)
        async with Disk() as disk:
            await source.prepare(disk)
            out, into = open_channel("portions", 1, Portion)
            async with Crew() as crew:
                crew.add(PortionReader(source, source.decoder, context).connect(outbox=out))
                with into:
                    found = [portion async for portion in into]
    return [portion for portion in found if isinstance(portion, SplitPortion)]


@given(
    st.lists(st.text(max_size=5), max_size=40),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([1, 300, 1 << 20]),
)
async def test_portions_hold_every_record_once_and_are_numbered_without_a_gap(given, per_task, records, size):
    source = asyncmr.records(given, records_per_task=per_task)
    found = await read(source, records=records, size=size)
    assert [record.value for portion in found for record in portion.held] == given
    assert [portion.number for portion in found] == list(range(len(found)))
    assert all(1 <= len(portion.held) <= records for portion in found)


@given(
    lines=st.lists(st.text(alphabet="ab\u00e9", max_size=5), max_size=40),
    split=st.integers(1, 60),
    records=st.integers(1, 9),
)
async def test_positions_and_sizes_are_those_of_the_file(tmp_path_factory, lines, split, records):
    path = tmp_path_factory.mktemp("lines") / "in"
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(text)
    found = await read(TextFiles(path, split_bytes=split), records=records)
    assert sum(portion.size for portion in found) == len(text)
    at = 0
    for portion in found:
        for record in portion.held:
            (piece,) = portion.pieces
            assert record.position is not None
            assert piece.offset + record.position - piece.start == at
            assert text[at:].startswith(f"{record.value}\n".encode())
            at += len(record.value.encode()) + 1


async def test_large_records_make_small_portions():
    found = await read(asyncmr.records(["x" * 1000] * 12), records=100, size=3000)
    assert [len(portion.held) for portion in found] == [3, 3, 3, 3]
