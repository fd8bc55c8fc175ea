"""Samples stay small, whatever a mapper makes, and stand for what they were taken from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.batches import batch
from asyncmr.kernel.blocks import decode_pairs
from asyncmr.kernel.decoding import TextLines
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.formats import TextFormat
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.passing import PassingReduction
from asyncmr.kernel.program import StepProgram
from asyncmr.kernel.ranges import RangeLayout
from asyncmr.kernel.sampling import MOST_BYTES, MOST_KEYS, KeySample
from tests.kernel.feeds import Rounds, driven

LINES = b"".join(b"%d\n" % number for number in range(100))


def number(_key, line):
    yield int(line), None


def sampled(mapper, every=1, stretches=()):
    step = StepProgram(
        mapper=mapper,
        decoder=TextLines(),
        encoder=TextFormat(),
        reduction=PassingReduction(),
        layout=RangeLayout(4, 1, KeyHasher()),
    )
    [(_, data)], facts = driven(step.sample((every, stretches, 1.0), Rounds([LINES])))
    return *decode_pairs(data), facts


@given(sizes=st.lists(st.integers(1, 3000), max_size=30))
def test_keys_are_kept_at_even_distances(sizes):
    sample, total = KeySample(), 0
    for size in sizes:
        sample.add([(key, None) for key in range(total, total + size)])
        total += size
    every = sample.keys[1] if len(sample.keys) > 1 else 1
    assert sample.keys == list(range(0, total, every))
    assert len(sample.keys) <= 2 * MOST_KEYS
    assert len(sample.keys) > MOST_KEYS or every == 1


def test_what_is_left_of_many_keys_weighs_as_much_as_all():
    few, many = KeySample(), KeySample()
    few.add([("x" * 100, None)] * 256)
    for _ in range(512):
        many.add([("x" * 100, None)] * 256)
    weigh = [sum(decode_pairs(sample.encoded())[1]) for sample in (few, many)]
    assert weigh[1] == pytest.approx(512 * weigh[0])


def test_large_keys_are_fewer():
    sample = KeySample()
    for _ in range(100):
        sample.add([("x" * 10_000, None)] * 256)
    assert 32 <= len(sample.keys) <= MOST_BYTES // 10_000 + 64
    assert sum(sample.weights) / len(sample.keys) == pytest.approx(10_072, abs=100)


def test_large_pairs_weigh_more():
    sample = KeySample()
    sample.add([("a", "x" * 1000)] * 10)
    sample.add([("b", None)] * 10)
    assert sample.weights[0] > 5 * sample.weights[-1]


def test_one_of_so_many_records_is_mapped():
    keys, weights, facts = sampled(number, every=7)
    assert keys == list(range(0, 100, 7))
    assert len(weights) == len(keys)
    assert facts == {"records": 15, "pairs": 15}


def test_stretches_are_worth_the_same_however_many_records_they_have():
    keys, weights, _ = sampled(number, stretches=(0, 20, 260))
    assert keys == list(range(100))
    ends = (10, 90)  # lines of two and of three bytes
    parts = [sum(weights[: ends[0]]), sum(weights[ends[0] : ends[1]]), sum(weights[ends[1] :])]
    assert parts[0] == pytest.approx(parts[2] * 1.5)
    assert parts[1] == pytest.approx(parts[2])


@pytest.mark.parametrize("every", [1, 7])
def test_batch_functions_are_sampled_as_mappers_are(every):
    @batch
    def numbers(_keys, lines):
        return list(map(int, lines)), None

    assert sampled(numbers, every) == sampled(number, every)


def test_a_mapper_that_raises_ends_its_stretch():
    def failing(key, line):
        if line == "50":
            raise ValueError("fifty")
        return number(key, line)

    keys, _, _ = sampled(failing, stretches=(0, 20, 260))
    assert keys == [*range(10), *range(90, 100)]


def test_what_is_no_pair_is_not_sampled():
    with pytest.raises(UserFailure, match="not a"):
        KeySample().add([(1, 2), 3])  # type: ignore[list-item]
    assert sampled(lambda _key, line: [line])[0] == []
