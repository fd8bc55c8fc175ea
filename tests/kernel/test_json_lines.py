"""JSON lines: what is written reads back equal, and what would not is refused, with its key."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmr.errors import FormatError
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.json_lines import JsonFormat, JsonLines, JsonPairs

TEXTS = st.text(st.characters(exclude_categories=[])) | st.text()
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
KEYS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)
PAIRS = st.lists(st.tuples(KEYS, VALUES), min_size=1) | st.lists(st.tuples(TEXTS, st.integers()), min_size=1)


def read_back(data: bytes) -> list[tuple[Any, Any]]:
    view = memoryview(data)
    pieces = list(JsonPairs().decode(view, 0, len(view), 64))
    return [pair for piece in pieces for pair in zip(piece.keys or (), piece.values, strict=True)]


@given(PAIRS)
@example([("\ud800", "\udfff")])
@example([("a\nb\r\u2028", -0.0)])
@example([(10**4000, 2**64)])
def test_what_is_written_reads_back_equal(pairs: list[tuple[Any, Any]]) -> None:
    """Unless it is refused, which only surrogates that would melt into one character are."""
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    try:
        data = JsonFormat().encode(keys, values)
    except FormatError as error:
        assert "surrogates" in str(error)  # noqa: PT017
        return
    assert [repr(pair) for pair in read_back(data)] == [repr(pair) for pair in pairs]
    assert len(data.decode().split("\n")) == len(pairs) + 1


def test_a_line_is_an_object_that_others_can_read() -> None:
    data = JsonFormat().encode(["é", ("a", 1)], [[1.5, None], {"x": True}])
    assert data.decode() == '{"key": "é", "value": [1.5, null]}\n{"key": ["a", 1], "value": {"x": true}}\n'


def test_tuples_in_values_come_back_as_lists() -> None:
    assert read_back(JsonFormat().encode([("a", ())], [(1, (2, 3))])) == [(("a", ()), [1, [2, 3]])]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"x", "bytes"),
        (datetime.date(2026, 1, 1), "date"),
        (decimal.Decimal("1.5"), "Decimal"),
        ({1}, "set"),
        ({1: 2}, "dict key 1 is no str"),
        ([{"a": ({None: 2},)}], "dict key None is no str"),
        (float("nan"), "float"),
        ([float("inf")], "float"),
        pytest.param(10**5000, "4300", id="huge"),
        pytest.param("\ud83d\ude00", "surrogates", id="surrogates"),
    ],
)
def test_what_would_change_is_refused_with_its_key(value: Any, says: str) -> None:
    for keys, values in ((["good", ("k", 1)], [1, value]), (["good", ("k", 1)], [value, value])):
        with pytest.raises(
            FormatError, match=rf"the value of the key .* cannot be written as JSON: .*{says}"
        ):
            JsonFormat().encode(keys, values)
    with pytest.raises(FormatError) as failed:
        JsonFormat().encode(["good", ("k", 1)], [1, value])
    assert failed.value.key == "('k', 1)"


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(FormatError, match="Circular"):
        JsonFormat().encode(["k"], [value])


def test_a_key_that_would_change_is_refused() -> None:
    with pytest.raises(FormatError, match=r"the key frozenset\(\{1\}\) cannot be written as JSON"):
        JsonFormat().encode([frozenset({1})], [1])


@given(st.lists(VALUES), st.integers(1, 200))
def test_lines_are_values_wherever_they_are_cut(values: list[Any], size: int) -> None:
    data = memoryview("".join(json.dumps(value) + "\n" for value in values).encode())
    pieces = list(JsonLines().decode(data, 0, len(data), size))
    assert [value for piece in pieces for value in piece.values] == json.loads(json.dumps(values))
    assert all(piece.keys is None for piece in pieces)


@pytest.mark.parametrize("line", ["{", "", "1 2", "\ufeff1"])
def test_a_line_that_is_no_json_says_where_it_begins(line: str) -> None:
    data = memoryview(f"1\n2\n{line}\n3\n".encode())
    with pytest.raises(UserFailure, match="not JSON") as failed:
        list(JsonLines().decode(data, 0, len(data), 1000))
    assert (failed.value.facts["role"], failed.value.facts["position"]) == ("decoder", 4)


@pytest.mark.parametrize("line", ["1", '{"key": 1}', '{"key": 1, "value": 2, "more": 3}'])
def test_a_line_that_is_no_pair_is_told(line: str) -> None:
    with pytest.raises(UserFailure, match=r'not \{"key"'):
        read_back(f"{line}\n".encode())
