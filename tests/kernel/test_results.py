"""The results of a stream as JSON lines."""

from __future__ import annotations

import json
import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.results import JsonResults, Results, encoded

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def read(keys, values, window=None, final=False, epoch=7):
    lines = JsonResults().encode(Results(keys, values, window, final, epoch)).decode().split("\n")
    assert lines.pop() == ""
    return [json.loads(line) for line in lines]


@given(
    pairs=st.lists(st.tuples(PLAIN, PLAIN), max_size=5),
    window=st.none() | st.floats(0, 2e9),
    final=st.booleans(),
)
def test_what_json_has_reads_back_equal(pairs, window, final):
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    rest = {"window": window, "final": final, "epoch": 7}
    assert read(keys, values, window, final) == [{"key": key, "value": value, **rest} for key, value in pairs]


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=4), max_size=5))
def test_any_text_is_one_line_of_utf8(keys):
    assert len(read(keys, [1] * len(keys))) == len(keys)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (date(2026, 11, 21), "2026-11-21"),
        (math.inf, "inf"),
        ((1, b"a"), [1, "b'a'"]),
        ({1: 2}, {"1": 2}),
        (16**5000, hex(16**5000)),
    ],
    ids=["date", "infinity", "tuple", "dict", "large"],
)
def test_what_json_has_nothing_for_becomes_its_text(value, text):
    (line,) = read(["key"], [value])
    assert line["value"] == text


class Broken:
    def encode(self, results):
        return results.nothing


def test_an_encoder_that_raises_is_named():
    with pytest.raises(UserFailure, match="the encoder Broken raised AttributeError: ") as caught:
        encoded(Broken(), Results(["key"], [1], None, False, 7))
    assert caught.value.facts["role"] == "encoder"
