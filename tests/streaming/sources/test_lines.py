from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.streaming.feeds.lines import LineCutter

BLOCKS = st.lists(st.text("ab\n", max_size=8).map(str.encode), max_size=10)


@given(blocks=BLOCKS, limit=st.integers(1, 100))
def test_every_line_within_the_limit_comes_however_it_is_cut(blocks, limit):
    cutter = LineCutter(limit)
    lines = b"".join(map(cutter.feed, blocks)) + cutter.last()
    every = b"".join(blocks).splitlines(keepends=True)
    assert cutter.held == 0
    kept = lines.splitlines()
    assert len(kept) + cutter.refused == len(every)
    assert all(line.rstrip(b"\n") in kept for line in every if len(line) <= limit)


@given(blocks=BLOCKS, limit=st.integers(1, 100))
def test_lines_are_where_they_are_said_to_begin(blocks, limit):
    cutter, before = LineCutter(limit), b""
    for block in blocks:
        lines = cutter.feed(block)
        if lines:
            assert (before + block)[len(before) + cutter.began :].startswith(lines)
        before += block
