"""Whole documents, as they lie in a split."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.documents import WholeDocuments, path_chunk, text_chunk

DOCUMENTS = st.lists(st.tuples(st.text(), st.lists(st.binary(max_size=20), max_size=3)))


@given(DOCUMENTS, st.integers(1, 100), st.data())
def test_documents_come_back_from_any_position_on(documents, size, data):
    encoded = memoryview(
        b"".join(path_chunk(path) + b"".join(map(text_chunk, chunks)) for path, chunks in documents)
    )
    decoder = WholeDocuments()
    skipped = data.draw(st.integers(0, len(documents)))
    start = decoder.advance(encoded, 0, skipped)
    batches = list(decoder.decode(encoded, start, decoder.end(encoded), size))
    assert [pair for batch in batches for pair in zip(batch.keys or (), batch.values, strict=True)] == [
        (path, b"".join(chunks).decode("utf-8", "replace")) for path, chunks in documents[skipped:]
    ]
    for batch in batches:
        assert decoder.advance(encoded, batch.start, len(batch.values)) == batch.stop
