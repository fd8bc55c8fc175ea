"""A sketch counts different things, whatever their order, and however often each comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.sketch import Sketch

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=50)


@given(first=HASHES, second=HASHES)
def test_sketches_of_parts_merge_into_that_of_the_whole(first, second):
    whole = Sketch().with_hashes([*second, *first, *second])
    merged = Sketch().with_hashes(first).merged(Sketch().with_hashes(second))
    assert merged.registers == whole.registers
    assert Sketch.of_text(whole.text()).registers == whole.registers


def test_few_are_counted_nearly_and_many_within_some_hundredths():
    hashes = KeyHasher().hashes([f"key-{number}" for number in range(100_000)])
    assert Sketch.of_text(None).count() == 0
    assert Sketch().with_hashes(hashes[:1]).count() == 1
    assert abs(Sketch().with_hashes(hashes[:20]).count() - 20) <= 1
    assert abs(Sketch().with_hashes(hashes).count() - 100_000) < 5_000
