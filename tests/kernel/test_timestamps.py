"""Where the time of a line is."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.errors import UsageError
from asyncmr.kernel.instants import time_of
from asyncmr.kernel.timestamps import Timestamp

AT = 1_795_294_740_123


def times(where, data):
    return [time_of(mark) for mark in Timestamp(where).marks(data)]


PATTERNS = [
    r"^(\d+)", r"(\d+)$", r"t=(\d+)", r"t=(\d+)\s", r"t=(\d+)\s*x?", r"([^ ]+) ", r"\d+", r"(?P<t>\d)(\d)?", r"\A(\d+)",
    r"(\d+)\Z", r"(?<=t=)(\d+)", r"(\d+)(?=\s)", r"(?i)T=(\d+)", r"(x)?(\d)", r"x*", r"^|(\d)$", r"(?:x|\n)(\d+)",
]  # fmt: skip
LINES = st.lists(st.text(alphabet="t=x 12\r", max_size=8), min_size=1, max_size=6)


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(deadline=None)
@given(lines=LINES, ended=st.booleans())
def test_a_block_is_searched_as_its_lines_are_one_by_one(pattern, lines, ended):
    data = ("\n".join(lines) + "\n" * ended).encode()
    rows = data.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n") if data else []
    matches = [re.search(pattern.encode(), row, re.MULTILINE) for row in rows]
    expected = [((m[1] if m.re.groups else m[0]) if m else None) or b"" for m in matches]
    # No match and an empty one are the same: no time.
    assert [b"" if mark is None else mark for mark in Timestamp(pattern).marks(data)] == expected


def test_a_long_block_is_searched_as_its_lines_are_one_by_one():
    rows = [b"%d %s" % (number, b"x" * (number % 90)) for number in range(2_000)]
    assert Timestamp(r"^(\d+)").marks(b"\n".join(rows)) == [row.split()[0] for row in rows]
    assert Timestamp(r"^(\d+) (?=x)").marks(b"\n".join(rows)) == [
        row.split()[0] if row.endswith(b"x") else None for row in rows
    ]


def test_a_member_of_json_lines_is_found_by_its_path():
    data = b"""{"a": {"b": [0, 1795294740.123]}}
 {"a": {"b": [0, "2026-11-21T20:59:00.123Z"]}}\r
{"a": 1}
not json
{"a":

{"a": {"b": [0, true]}} {"a": 2}
{"a": {"b": [0, 1795294740123]}}"""
    assert times("json:a.b.1", data) == [AT, AT, None, None, None, None, None, AT]


def test_a_value_over_two_lines_is_in_neither():
    assert times("json:t", b'{"t": 1}\n{"t":\n1}\n[{"t": 1},\n{"t": 2}]\n') == [1000, None, None, None, None]


@pytest.mark.parametrize(
    ("where", "said"), [("(", "no regular expression"), ("json:", "names no member"), ("json:a..b", "names")]
)
def test_what_names_no_place_is_told(where, said):
    with pytest.raises(UsageError, match=said):
        Timestamp(where)
