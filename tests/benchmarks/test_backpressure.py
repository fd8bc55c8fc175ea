"""The memory of a stream behind what is slow, in small."""

from pathlib import Path

import pytest

from benchmarks.backpressure import SLOW, backpressure


@pytest.mark.timeout(180)
def test_a_stream_is_measured_behind_each_that_is_slow(tmp_path: Path):
    slow = ("iterator", "subscriber")
    study = backpressure(slow, data=tmp_path, size=200_000, workers=1, seconds=1.0)
    assert study.skipped == []
    assert all(min(study.found[what]["samples"]) > 0 for what in slow)
    assert all(SLOW[what] in str(study) for what in slow)
