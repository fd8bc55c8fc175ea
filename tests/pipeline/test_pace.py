"""How fast something grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.pipeline.pace import APART, STEPS, WINDOW, Pace


@given(st.integers(1, 10**9), st.lists(st.integers(1, 100), min_size=1, max_size=200))
def test_steady_growth_has_its_rate_whenever_somebody_looks(speed, pauses):
    pace, now = Pace(0.0), 0
    for pause in pauses:
        now += pause
        assert pace.rate(now, speed * now) == pytest.approx(speed)


@given(st.lists(st.floats(0.001, 2), min_size=1, max_size=500))
def test_however_often_somebody_looks_little_is_noted(pauses):
    pace, now = Pace(0.0), 0.0
    for number, pause in enumerate(pauses):
        now += pause
        pace.rate(now, number)
        assert len(pace._steps) <= STEPS + WINDOW / APART + 2


def test_what_was_long_ago_does_not_count():
    pace = Pace(0.0)
    for second in range(1, 41):
        rate = pace.rate(second, 100 * second if second <= 20 else 2000 + (second - 20))
    assert rate == pytest.approx(1)


def test_slow_steps_are_told_from_several_of_them():
    pace = Pace(0.0)
    for second in range(1, 100):
        rate = pace.rate(second, second // 10 * 10)  # ten at once, every ten seconds
    assert rate == pytest.approx(1, rel=0.3)


def test_the_rate_of_what_has_stopped_falls():
    pace = Pace(0.0)
    assert [pace.rate(now, 100) for now in (1, 10, 100)] == [100, 10, 1]


def test_in_no_time_there_is_no_rate():
    assert Pace(3.0).rate(3.0, 5) is None
