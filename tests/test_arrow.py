"""Arrow tables of lines hold what the decoder of text gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from asyncmr.arrow import table_of_lines, table_of_records, text_of
from asyncmr.kernel.decoding import TextLines

PIECES = st.sampled_from(
    [b"a", b"\n", b"\r", b"\r\n", b" ", b"\xc3\xa9", b"\xff", b"\xe2\x80", b"\x00", b"\x1e"]
)


@given(st.lists(PIECES, min_size=1).map(b"".join))
def test_lines_are_those_of_the_decoder(block):
    decoded = TextLines().decode(memoryview(block), 0, len(block), 1 << 20)
    assert table_of_lines(block)["value"].to_pylist() == [line for piece in decoded for line in piece.values]


@given(st.binary())
def test_text_is_valid_utf8(block):
    [text] = text_of(block).to_pylist()
    assert text == block.decode("utf-8", "replace")


def test_records_without_keys_have_one_column():
    assert table_of_records(None, [1, 2]).to_pydict() == {"value": [1, 2]}
    assert table_of_records([3, 4], [1, 2]).to_pydict() == {"key": [3, 4], "value": [1, 2]}
