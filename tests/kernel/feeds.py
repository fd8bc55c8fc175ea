"""Feeds for kernel generators, and a way to run these without workers."""

from array import array
from itertools import pairwise

from asyncmr.kernel.buckets import describe_shares
from asyncmr.kernel.merging import describe_round


class Rounds:
    """Gives these rounds of buffers, whatever is wanted."""

    def __init__(self, *rounds):
        self._rounds = iter(rounds)

    def ask(self, wanted):
        return [memoryview(buffer) for buffer in next(self._rounds)]


class RunFeed:
    """Feeds runs, each a list of blocks, one block of each wanted run at a time."""

    def __init__(self, runs):
        self._runs = [list(run) for run in runs]
        self.rounds = 0

    def ask(self, wanted):
        self.rounds += 1
        blocks, described = [], []
        for number in wanted or range(len(self._runs)):
            if self._runs[number]:
                blocks.append(memoryview(self._runs[number].pop(0)))
                described.append((number, not self._runs[number]))
        return [memoryview(describe_round(described)), *blocks]


class ShareFeed:
    """Feeds runs of one share, all at once."""

    def __init__(self, pieces):
        self._pieces = pieces

    def ask(self, wanted):
        ends, size = [], 0
        for piece in self._pieces:
            size += len(piece)
            ends.append(size)
        return [memoryview(describe_shares([(0, ends)], last=True)), memoryview(b"".join(self._pieces))]


def pieces_of(items):
    """The pieces of the runs in these items, in order."""
    pieces = []
    for (kind, _flush, _shares, ends), data in items:
        assert kind == "runs"
        numbers = array("I")
        numbers.frombytes(ends)
        pieces += [data[a:b] for a, b in pairwise([0, *numbers])]
    return pieces


def driven(task):
    """The items of a generator, and what it returned."""
    items = []
    while True:
        try:
            items.append(next(task))
        except StopIteration as stop:
            return items, stop.value
