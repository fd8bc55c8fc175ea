from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.streaming.key_counts import KeyCounts

PLACES = st.tuples(st.integers(0, 2), st.integers(-3, 6))
STEPS = st.lists(
    st.dictionaries(PLACES, st.integers(0, 9), max_size=5) | st.lists(st.integers(-3, 6), max_size=2)
)


@given(STEPS, st.integers(-5, 8), st.integers(0, 5))
def test_keys_are_counted_as_in_all_tables_looked_at(steps, begin, size):
    counts = KeyCounts()
    tables: dict = {}
    for step in steps:
        if isinstance(step, dict):
            counts.update(step)
            tables |= step
        else:
            counts.drop(step)
            tables = {place: keys for place, keys in tables.items() if place[1] not in step}
    assert counts.panes == sorted({pane for _, pane in tables})
    assert counts.total == sum(tables.values())
    some = range(begin, begin + size)
    inside = {place: keys for place, keys in tables.items() if place[1] in some}
    assert counts.within([some]) == [(len({pane for _, pane in inside}), sum(inside.values()))]
