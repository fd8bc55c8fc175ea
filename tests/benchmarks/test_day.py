"""Hours of a stream by a fast clock, and how flat a figure is."""

from pathlib import Path

import pytest

from benchmarks.day import Day, day


@pytest.mark.timeout(120)
def test_what_a_stream_holds_is_told_for_each_hour(tmp_path: Path):
    study = day(data=tmp_path, size=200_000, seconds=2, hours=3)
    assert study.failure == ""
    assert len(study.rows) == 3
    assert study.words > 0
    assert all(row["host"] > 0 and row["others"] > 0 and row["state"] > 0 for row in study.rows)


def test_what_grows_has_a_slope_and_what_stays_has_none():
    rows = [{"host": 1000.0 + 10 * hour, "state": 500.0 + 100 * (hour < 2)} for hour in range(24)]
    study = Day(0, 0, rows)
    assert study.slope("host") == pytest.approx(240 / 1125)
    assert study.slope("state") == 0
