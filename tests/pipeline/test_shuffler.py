"""Which partition is reduced when."""

import pytest

from asyncmr.actors import Crew, open_channel
from asyncmr.pipeline.messages import HANDLE, Partition, Pieces
from asyncmr.pipeline.shuffler import Shuffler
from tests.pipeline.test_shelf import stored


@pytest.mark.parametrize(
    ("sizes", "order"),
    [
        ([1, 1, 1, 1], [0, 1, 2, 3]),
        ([2, 1, 0, 3], [0, 1, 2, 3]),
        ([1, 0, 9, 1, 1], [2, 0, 1, 3, 4]),
        ([0, 30, 1, 40, 1, 1, 1, 1], [3, 1, 0, 2, 4, 5, 6, 7]),
        ([0, 0], [0, 1]),
    ],
)
async def test_partitions_come_in_order_but_much_larger_ones_first(sizes, order):
    runs_out, runs_in = open_channel("runs", 99, Pieces)
    partitions_out, partitions_in = open_channel("partitions", 99, Partition)
    found = []
    async with Crew() as crew:
        crew.add(Shuffler(len(sizes), 2).connect(inbox=runs_in, outbox=partitions_out))
        shares = [2 * partition + piece % 2 for partition, size in enumerate(sizes) for piece in range(size)]
        if shares:
            await runs_out.send(stored((0, 0), shares), HANDLE)
        runs_out.close()
        async for partition in partitions_in:
            found.append(partition.index)
            assert sum(run.size for _, runs in partition.shares() for run in runs) == sizes[partition.index]
        partitions_in.close()
    assert found == order
