"""Event time as a whole, without processes: whatever the order of the records, the splits and the commits."""

import json
import operator
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr import Job
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.pane_tables import merged
from asyncmr.kernel.panes import divide
from asyncmr.streaming.progress import Progress
from asyncmr.streaming.windowing import Windowing
from asyncmr.streaming.windows import Sliding, Tumbling
from tests.oracle import oracle

FEED = "feed"


def words(_key, line):
    return [(word, 1) for word in line.split()[1:]]


JOB = Job(mapper=words, fold=operator.add)
REDUCTION = FoldReduction(operator.add)


class Streamed:
    """What a stream does with splits: each told a watermark when it begins, and committed later, in order."""

    def __init__(self, windowing):
        self.windowing = windowing
        self.progress = Progress(idle=1e9)
        self.tables: dict = {}
        self.final: dict = {}
        self.aside: list = []
        self.begun: list = []
        self.number = 0

    def begin(self, lines):
        self.number += 1
        told = self.progress.begin(self.number)
        block = "".join(f"{line}\n" for line in lines).encode()
        division = divide(self.windowing.rule, block, open_from=self.windowing.open_from(told))
        self.begun.append((self.number, division, lines))

    def commit(self):
        number, division, _ = self.begun.pop(0)
        for pane in division.panes:
            table = self.tables.setdefault(pane.number, REDUCTION.table())
            for line in division.data[pane.start : pane.stop].decode().splitlines():
                REDUCTION.absorb(table, words(None, line))
        for aside in division.aside:
            self.aside += aside.data.decode().splitlines()
        self.tell(self.progress.commit([number], {(FEED, "a"): division.latest[0]}, now=0.0))

    def restart(self):
        """It was killed: what was committed is there, what had begun begins anew."""
        saved = json.loads(json.dumps(self.progress.saved()))
        self.progress = Progress.restored(saved, idle=1e9, now=0.0)
        begun, self.begun = self.begun, []
        for _, _, lines in begun:
            self.begin(lines)

    def tell(self, moved):
        for window in self.windowing.final(self.tables, *moved):
            assert window not in self.final
            self.final[window] = self.value(window)

    def value(self, window):
        panes = self.windowing.windows.panes_of(window)
        return dict(merged(REDUCTION, [self.tables[pane] for pane in panes if pane in self.tables]))

    def end(self):
        while self.begun:
            self.commit()
        self.tell(self.progress.finish(self.windowing.ended(self.tables)))
        # Nothing that was told to be final has changed since.
        assert self.final == {window: self.value(window) for window in self.final}


def run(windowing, lines, plan):
    """`plan`: how many lines each split takes, how many splits are committed before the next one begins, and whether
    the stream is then killed."""
    streamed, at = Streamed(windowing), 0
    for taken, committed, killed in plan:
        streamed.begin(lines[at : at + taken])
        at += taken
        for _ in range(min(committed, len(streamed.begun))):
            streamed.commit()
        if killed:
            streamed.restart()
    streamed.begin(lines[at:])
    streamed.end()
    return streamed


def second_of(line):
    return int(line.split()[0])


def batch(windowing, lines):
    """The result of the job over the records of each window that has any."""
    kind = windowing.windows
    starts = range(-(kind.size_ms // kind.slide_ms) * kind.slide_ms, 200_000, kind.slide_ms)
    inside = {
        (start, start + kind.size_ms): [
            line for line in lines if start <= second_of(line) * 1000 < start + kind.size_ms
        ]
        for start in starts
    }
    return {window: dict(oracle(JOB, some)) for window, some in inside.items() if some}


SIZES = st.integers(1, 30)
KINDS = st.builds(Tumbling, SIZES) | st.tuples(SIZES, SIZES).map(lambda two: Sliding(max(two), min(two)))
LINES = st.lists(st.builds("{} {}".format, st.integers(0, 100), st.sampled_from("abc")), max_size=30)
PLANS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=12)


@settings(deadline=None)
@given(KINDS, LINES, st.data(), st.integers(0, 20), PLANS)
def test_any_order_within_the_lateness_gives_the_batch_result_of_every_window(
    kind, lines, data, lateness, plan
):
    delays = data.draw(st.lists(st.integers(0, lateness), min_size=len(lines), max_size=len(lines)))
    arrived = [
        line
        for _, line in sorted(zip(delays, lines, strict=True), key=lambda one: one[0] + second_of(one[1]))
    ]
    streamed = run(Windowing(kind, timestamp=r"^(\d+)", lateness=lateness), arrived, plan)
    assert streamed.aside == []
    assert streamed.final == batch(streamed.windowing, lines)


@settings(deadline=None)
@given(KINDS, LINES, PLANS, st.integers(0, 20))
def test_in_any_order_each_line_is_in_its_windows_or_set_aside(kind, lines, plan, lateness):
    streamed = run(Windowing(kind, timestamp=r"^(\d+)", lateness=lateness), lines, plan)
    taken = Counter(lines) - Counter(streamed.aside)
    assert streamed.final == batch(streamed.windowing, list(taken.elements()))


def test_what_comes_too_late_is_set_aside():
    """The negative control: this order is outside of the lateness."""
    lines = ["1 a", "30 b", "2 c"]
    streamed = run(Windowing("10s", timestamp=r"^(\d+)", lateness=5), lines, [(1, 1, False), (1, 1, True)])
    assert streamed.aside == ["2 c"]
    assert streamed.final[0, 10_000] == {"a": 1}


def test_a_split_that_began_before_a_window_was_over_still_counts_in_it():
    streamed = Streamed(Windowing("10s", timestamp=r"^(\d+)"))
    streamed.begin(["1 a"])
    streamed.begin(["2 b"])
    streamed.begin(["30 c"])
    streamed.begin(["3 d"])
    for _ in range(3):
        streamed.commit()
    assert streamed.progress.watermark == 30_000
    assert streamed.final == {}
    streamed.commit()
    assert streamed.final == {(0, 10_000): {"a": 1, "b": 1, "d": 1}}
