"""How fast something grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.pipeline.pace import WINDOW, Pace


@given(st.floats(0.01, 1e6), st.lists(st.floats(0.001, 100), min_size=1, max_size=200))
def test_steady_growth_has_its_rate_whenever_somebody_looks(speed, pauses):
    pace, now = Pace(0.0), 0.0
    for pause in pauses:
        now += pause
        rate = pace.rate(now, speed * now)
        assert rate == pytest.approx(speed, rel=1e-3)
    assert len(pace._seen) <= WINDOW / 0.1 + 2  # however often somebody looks


def test_what_was_before_the_window_does_not_count():
    pace = Pace(0.0)
    for second in range(1, 20):
        pace.rate(second, min(second, 10) * 100)
    assert pace.rate(20, 1000) == 0


def test_in_no_time_there_is_no_rate():
    assert Pace(3.0).rate(3.0, 5) is None
