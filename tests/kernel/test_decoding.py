from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.blocks import encode_pairs
from asyncmr.kernel.decoding import PairBlocks, TextLines


def lines(data):
    view = memoryview(data)
    return TextLines().decode(view, 0, len(view))[1]


def test_lines_end_at_newlines_only_and_lose_one_carriage_return():
    assert lines(b"a\r\nb\x0bc\x85\xc2\x85\r\r\n\n") == ["a", "b\x0bc\ufffd\x85\r", ""]


def test_invalid_utf8_is_replaced():
    assert lines(b"caf\xe9 \xff\n") == ["caf\ufffd \ufffd"]


def test_a_missing_last_newline_costs_no_line():
    assert lines(b"a\nb") == lines(b"a\nb\n") == ["a", "b"]


def test_a_lone_carriage_return_stays():
    assert lines(b"a\rb\n\r") == ["a\rb", "\r"]


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.integers(0, 9))
def test_advancing_over_records_finds_where_the_rest_begins(records, count):
    data = memoryview(b"".join(record + b"\n" for record in records))
    decoder = TextLines()
    at = decoder.advance(data, 0, count)
    before = decoder.decode(data, 0, at)[1]
    after = decoder.decode(data, at, decoder.end(data))[1]
    assert before + after == decoder.decode(data, 0, len(data))[1]
    assert len(before) == min(count, len(records))


def test_pair_blocks_can_be_read_from_any_record():
    data = memoryview(encode_pairs([1, 2, 3], ["a", "b", "c"]) + encode_pairs([4], ["d"]))
    decoder = PairBlocks()
    assert decoder.end(data) == 4
    assert decoder.decode(data, decoder.advance(data, 0, 1), 4) == ([2, 3, 4], ["b", "c", "d"])
    assert PairBlocks(keyed=False).decode(data, 0, 2) == (None, ["a", "b"])
