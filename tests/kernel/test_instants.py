"""What time a mark says."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.kernel.instants import time_of, times_of

AT = 1_795_294_740_123


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


@settings(deadline=None)
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
