from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.blocks import encode_pairs
from asyncmr.kernel.decoding import PairBlocks, TextLines


def lines(data, size=1 << 20):
    return values(TextLines(), memoryview(data), 0, len(data), size)


def values(decoder, data, start, stop, size=1 << 20):
    return [value for batch in decoder.decode(data, start, stop, size) for value in batch.values]


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
    before = values(decoder, data, 0, at)
    after = values(decoder, data, at, decoder.end(data))
    assert before + after == values(decoder, data, 0, len(data))
    assert len(before) == min(count, len(records))


@given(st.lists(st.text("ab\u00e9\r", max_size=9), max_size=9), st.integers(1, 12))
def test_lines_come_in_pieces_of_about_the_size_that_is_asked_for(records, size):
    data = "".join(record + "\n" for record in records).encode()
    view = memoryview(data)
    batches = list(TextLines().decode(view, 0, len(data), size))
    assert [line for batch in batches for line in batch.values] == lines(data)
    assert [batch.start for batch in batches] == [0, *(batch.stop for batch in batches)][:-1]
    for batch in batches:
        assert len(batch.values) == 1 or batch.stop - batch.start <= size
        # What comes behind a piece would not have fitted into it.
        assert batch.stop == len(data) or TextLines().advance(view, batch.stop, 1) - batch.start > size


def test_a_carriage_return_is_dropped_where_a_piece_ends():
    assert lines(b"a\r\nb\r\nc\r\n", size=3) == ["a", "b", "c"]


def test_pair_blocks_can_be_read_from_any_record():
    data = memoryview(encode_pairs([1, 2, 3], ["a", "b", "c"]) + encode_pairs([4], ["d"]))
    decoder = PairBlocks()
    assert decoder.end(data) == 4
    assert list(decoder.decode(data, decoder.advance(data, 0, 1), 4, 1 << 20)) == [
        (1, 4, [2, 3, 4], ["b", "c", "d"])
    ]
    assert list(PairBlocks(keyed=False).decode(data, 0, 2, 1 << 20)) == [(0, 2, None, ["a", "b"])]


@given(st.lists(st.integers(0, 5), max_size=6), st.integers(1, 200), st.data())
def test_pieces_of_pair_blocks_are_the_same_from_the_end_of_one_on(counts, size, data):
    blocks = memoryview(b"".join(encode_pairs(list(range(n)), ["x" * n] * n) for n in counts))
    decoder = PairBlocks()
    pieces = list(decoder.decode(blocks, 0, sum(counts), size))
    assert [key for piece in pieces for key in piece.keys or []] == [key for n in counts for key in range(n)]
    at = data.draw(st.integers(0, max(len(pieces) - 1, 0)))
    if pieces:
        assert list(decoder.decode(blocks, pieces[at].start, sum(counts), size)) == pieces[at:]
