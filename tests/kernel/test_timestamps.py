"""Where the time of a line is, and what time that is."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.errors import UsageError
from asyncmr.kernel.timestamps import Timestamp, time_of, times_of

AT = 1_795_294_740_123


def times(where, data):
    return [time_of(mark) for mark in Timestamp(where).marks(data)]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-21T20:59:00.123Z", AT),
        ("2026-11-21 20:59:00.123999", AT),
        ("2026-11-21T22:59:00,123+02:00", AT),
        ("20261121T205900.123Z", AT),
        ("2026-11-21", AT - AT % 86_400_000),
        ("1795294740", AT - 123),
        ("1795294740.123", AT),
        ("1795294740123", AT),
        ("1795294740123456", AT),
        ("1795294740123456789", AT),
        (" 1795294740123\t", AT),
        ("-1", -1000),
        ("21/Nov/2026:20:59:00 +0000", AT - 123),
        ("21/Nov/2026:22:59:00 +0200", AT - 123),
    ],
)
def test_times_are_read_in_all_their_forms(text, time):
    assert time_of(text) == time_of(text.encode()) == times_of([text])[text] == time


@pytest.mark.parametrize(
    "mark",
    [None, "", b"", "soon", "2026-13-01T00:00:00", "2026-11-21T20:59:00 o'clock", "31/Foo/2026:20:59:00 +0000",
     "31/Feb/2026:20:59:00 +0000", "9" * 25, "1" * 5000, float("nan"), float("inf"), 1e300, b"\xff", "²"],
    ids=repr,
)  # fmt: skip
def test_what_is_no_time_is_none(mark):
    assert time_of(mark) is None
    assert times_of([mark, "2026-11-21T20:59:00"]) == {mark: None, "2026-11-21T20:59:00": AT - 123}


MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(
    st.lists(MOMENTS),
    st.sampled_from(["T", " "]),
    st.sampled_from(["milliseconds", "microseconds", "seconds"]),
)
def test_many_times_are_read_as_one_is(moments, separator, precision):
    texts = [moment.isoformat(separator, precision) for moment in moments]
    found = times_of(texts)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert found == {
        text: (datetime.fromisoformat(text) - epoch) // timedelta(milliseconds=1) for text in texts
    }


PATTERNS = [
    r"^(\d+)", r"(\d+)$", r"t=(\d+)", r"t=(\d+)\s", r"t=(\d+)\s*x?", r"([^ ]+) ", r"\d+", r"(?P<t>\d)(\d)?", r"\A(\d+)",
    r"(\d+)\Z", r"(?<=t=)(\d+)", r"(\d+)(?=\s)", r"(?i)T=(\d+)", r"(x)?(\d)", r"x*", r"^|(\d)$", r"(?:x|\n)(\d+)",
]  # fmt: skip
LINES = st.lists(st.text(alphabet="t=x 12\r", max_size=8), min_size=1, max_size=6)


@pytest.mark.parametrize("pattern", PATTERNS)
@given(lines=LINES, ended=st.booleans())
def test_a_block_is_searched_as_its_lines_are_one_by_one(pattern, lines, ended):
    data = ("\n".join(lines) + "\n" * ended).encode()
    rows = data.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n") if data else []
    matches = [re.search(pattern.encode(), row, re.MULTILINE) for row in rows]
    expected = [((m[1] if m.re.groups else m[0]) if m else None) or b"" for m in matches]
    # No match and an empty one are the same: no time.
    assert [b"" if mark is None else mark for mark in Timestamp(pattern).marks(data)] == expected


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
