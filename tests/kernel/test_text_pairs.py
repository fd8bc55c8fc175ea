"""The text format, and the way back from it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmr.errors import FormatError
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.formats import TextFormat
from asyncmr.kernel.text_pairs import TextPairs

TEXTS = st.text(st.sampled_from("ab\\\t\n\r né\udc80")) | st.text()


def read_back(data: bytes) -> list[tuple[str, str | None]]:
    view = memoryview(data)
    pieces = list(TextPairs().decode(view, 0, len(view), 16))
    return [pair for piece in pieces for pair in zip(piece.keys or (), piece.values, strict=True)]


@given(st.lists(st.tuples(TEXTS, st.none() | TEXTS)))
@example([("", None)])
@example([("a\r", "\\n\r")])
def test_texts_come_back_as_they_were(pairs: list[tuple[str, str | None]]) -> None:
    data = TextFormat().encode([key for key, _ in pairs], [value for _, value in pairs])
    assert read_back(data) == pairs


def test_everything_else_comes_back_as_its_text() -> None:
    assert read_back(TextFormat().encode([("a", 1)], [2.5])) == [("('a', 1)", "2.5")]


def test_an_escape_that_nobody_wrote_is_told() -> None:
    with pytest.raises(UserFailure, match="not key<TAB>value"):
        read_back(b"a\\x\t1\n")


def test_a_text_without_bytes_is_refused_with_its_key() -> None:
    with pytest.raises(FormatError, match=r"the pair 'b\\tx\\ud800' cannot be written as text") as failed:
        TextFormat().encode(["a", "b"], ["x", "x\ud800"])
    assert failed.value.key == "'b'"
