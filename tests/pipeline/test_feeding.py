"""What a task is fed: all runs of a few shares at a time, or a bit of each sorted run."""

import marshal
from typing import Any

from asyncmr.pipeline.feeding import RunFeed, ShareFeed
from asyncmr.pipeline.messages import Run
from asyncmr.storage.budget import Budget
from asyncmr.storage.folder import SpillFolder
from asyncmr.storage.runs import BlockStore
from tests.storage.conftest import disk

__all__ = ["disk"]


async def run_of(store, rank, sizes):
    """A run of pieces of these sizes, each filled with its number."""
    data = b"".join(bytes([number]) * size for number, size in enumerate(sizes))
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    block = await store.put(data, ends)
    return Run((rank, 0), tuple((block, number) for number in range(len(sizes))), len(data))


def said_in(described: Any) -> Any:
    """What the first buffer of a round says of the others."""
    return marshal.loads(described)


def store_on(disk, tmp_path):
    return BlockStore(Budget(1 << 20), SpillFolder(str(tmp_path)), disk)


async def test_a_run_asked_for_alone_gets_no_more_than_its_share_of_the_room(disk, tmp_path):
    """Or a merge of many runs, which mostly asks for one, would come to hold the whole room's worth of each."""
    async with store_on(disk, tmp_path) as store:
        feed = RunFeed([await run_of(store, rank, [100] * 10) for rank in range(4)], store, None, 800)
        (described, *blocks), last = await feed.round(())
        assert said_in(described) == [(run, False) for run in range(4) for _ in range(2)]
        (described, *blocks), last = await feed.round((1,))
        assert said_in(described) == [(1, False)] * 2
        assert blocks == [bytes([2]) * 100, bytes([3]) * 100]
        assert not last


async def test_a_piece_larger_than_the_share_is_fed_alone(disk, tmp_path):
    async with store_on(disk, tmp_path) as store:
        feed = RunFeed([await run_of(store, 0, [500, 1]), await run_of(store, 1, [1])], store, None, 10)
        (described, *blocks), last = await feed.round(())
        assert said_in(described) == [(0, False), (1, True)]
        assert [len(block) for block in blocks] == [500, 1]
        (described, *blocks), last = await feed.round((0,))
        assert (said_in(described), blocks, last) == ([(0, True)], [b"\x01"], True)


async def test_shares_are_fed_together_as_long_as_they_find_room(disk, tmp_path):
    async with store_on(disk, tmp_path) as store:
        sizes = [30_000, 30_000, 30_000, 200_000, 10]
        shares = [(number, [await run_of(store, 0, [size])]) for number, size in enumerate(sizes)]
        feed, fed, last = ShareFeed(shares, store, None), [], False
        while not last:
            (described, data), last = await feed.round(())
            found, said = said_in(described)
            assert said == last
            fed.append([(number, ends) for number, ends in found])
            assert len(data) == found[-1][1][-1]
    assert fed == [[(0, [30_000]), (1, [60_000])], [(2, [30_000])], [(3, [200_000])], [(4, [10])]]
