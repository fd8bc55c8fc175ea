"""How a memory budget is divided, and what is set aside of it."""

from asyncmr.pipeline.limits import MIB, Limits

GB = 10**9


def accounted(input_bytes: int) -> int:
    limits = Limits.within(256 * MIB, workers=2)
    partitions = limits.partitions(input_bytes)
    return limits.account(input_bytes, partitions * limits.shares(input_bytes, partitions))


def test_the_account_of_a_large_shuffle_is_set_aside():
    assert accounted(GB) < MIB
    assert 12 * MIB < accounted(4 * GB) < 18 * MIB


def test_half_of_what_may_wait_is_left_for_blocks_whatever_the_input():
    assert accounted(1000 * GB) == Limits.within(256 * MIB, workers=2).shuffle // 2
    assert Limits(shuffle=1).account(GB, 1000) == 0
