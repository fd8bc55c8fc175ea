"""Feeds for kernel generators, and a way to run these without workers."""

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


def driven(task):
    """The items of a generator, and what it returned."""
    items = []
    while True:
        try:
            items.append(next(task))
        except StopIteration as stop:
            return items, stop.value
