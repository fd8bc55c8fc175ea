"""How soon a word can be seen: the daemon under a small load, by each way in."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.freshness import freshness
from benchmarks.paced import TICK, Text


@pytest.mark.timeout(180)
def test_each_way_in_is_timed_until_the_answer(tmp_path: Path):
    rates = {"tail": 20_000.0, "tcp": 20_000.0, "post": 20_000.0}
    study = freshness(rates, data=tmp_path, size=200_000, rounds=1, seconds=0.3, warm_up=0.1)
    assert study.skipped == []
    assert {way: runs[0]["ticks"] for way, runs in study.found.items()} == dict.fromkeys(rates, 6)
    assert all(0 < runs[0]["p50"] <= runs[0]["max"] for runs in study.found.values())
    assert "| sent over TCP" in str(study)


def test_text_is_sent_again_and_again_and_counted(tmp_path: Path):
    path = tmp_path / "text"
    path.write_text("to be or\nnot to be\n" * 10)
    text = Text(path, rate=4 / TICK)
    sent = b"".join(text.next() for _ in range(25))
    assert sent.count(b"\n") > 20
    assert text.counts() == Counter(sent.decode().split())
