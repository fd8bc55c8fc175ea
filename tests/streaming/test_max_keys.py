"""A limit of keys: which ones are left out depends on the input alone."""

from __future__ import annotations

import operator
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr import Job, UsageError
from asyncmr.streaming import Stream
from tests.streaming.feeds import Instant, Listed


def words(_key, line):
    return [(word, 1) for word in line.split()]


COUNT = Job(mapper=words, fold=operator.add, partitions=4)
LINES = [" ".join(f"w{n * n % 31}" for n in range(start, start + 7)) for start in range(20)]


async def kept(folder, lines, cuts, **options):
    """What is kept of the lines, and how many keys are left out; each of the `cuts` is an epoch, and a run."""
    for end in [*cuts, len(lines)]:
        feed = Listed([f"{line}\n".encode() for line in lines[:end]])
        async with Stream(
            COUNT,
            [feed],
            state=folder,
            executor="inline",
            workers=1,
            clock=Instant(),
            durable=False,
            **options,
        ) as stream:
            await stream.join()
            found = dict(await stream.top(100)), stream.stats().overflow
    return found


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(LINES)), max_size=3).map(sorted),
    keepers=st.integers(1, 3),
    state_memory=st.sampled_from([None, 1, 1000]),
)
async def test_which_keys_are_left_out_depends_on_the_input_alone(cuts, keepers, state_memory):
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        expected = await kept(one, LINES, [], max_keys=10)
        assert (
            await kept(other, LINES, cuts, max_keys=10, keepers=keepers, state_memory=state_memory)
            == expected
        )
        counts, overflow = expected
        everything = [word for line in LINES for word in line.split()]
        assert len(counts) <= 10
        assert len(counts) + overflow == len(set(everything))
        assert all(counts[word] == everything.count(word) for word in counts)


async def test_keys_that_have_a_place_go_on_counting(tmp_path):
    counts, overflow = await kept(tmp_path / "state", ["a b c d e f g h", "a b c d e f g h"], [], max_keys=4)
    assert 0 < len(counts) <= 4
    assert set(counts.values()) == {2}
    assert overflow == 8 - len(counts)


async def test_a_higher_limit_at_the_next_start_takes_more_in(tmp_path):
    await kept(tmp_path / "state", LINES[:1], [], max_keys=4)
    counts, _ = await kept(tmp_path / "state", LINES, [], max_keys=100)
    assert len(counts) == len({word for line in LINES for word in line.split()})


def test_a_limit_below_one_key_for_each_group_is_refused():
    with pytest.raises(UsageError, match="less than one key for each of the 4 key groups"):
        Stream(COUNT, [], max_keys=3)
