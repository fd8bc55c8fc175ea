"""The lines of a block divided by their time, and mapped pane by pane."""

import marshal
import operator
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.decoding import TextLines
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.formats import PairFormat
from asyncmr.kernel.guarding import Guard
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.marks import NO_MARK
from asyncmr.kernel.panes import PaneRule, divide
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.program import StepProgram
from tests.kernel.feeds import Rounds, driven

RULE = PaneRule(r"^(\d+)", 10_000)
LINES = st.lists(
    st.sampled_from([*(f"{second} w{second}" for second in range(50)), "no time", ""]), max_size=20
)


def seconds_of(line):
    match = re.match(r"\d+", line)
    return None if match is None else int(match[0])


def expected_place(line, open_from, believed):
    second = seconds_of(line)
    if second is None:
        return "untimed"
    if believed is not None and second * 1000 > believed:
        return "ahead"
    pane = second // 10
    return "late" if open_from is not None and pane < open_from else pane


@settings(deadline=None)
@given(LINES, st.none() | st.integers(0, 5), st.none() | st.integers(0, 50_000), st.booleans())
@example(["1 a", "2 b"], None, None, False)
def test_each_line_is_in_its_pane_or_set_aside_in_the_order_of_the_block(lines, open_from, believed, ended):
    data = ("\n".join(lines) + "\n" * (ended or not lines or not lines[-1]) if lines else "").encode()
    division = divide(RULE, data, open_from=open_from, believed=believed)
    expected: dict = {}
    for line in lines:
        expected.setdefault(expected_place(line, open_from, believed), []).append(line)
    found: dict = {pane.number: bytes(pane.data).decode() for pane in division.panes}
    found |= {aside.reason: aside.data.decode() for aside in division.aside}
    assert {place: text.removesuffix("\n").split("\n") for place, text in found.items()} == expected
    assert {aside.reason: aside.lines for aside in division.aside} == {
        place: len(some) for place, some in expected.items() if isinstance(place, str)
    }
    times = [seconds_of(line) for place, some in expected.items() if isinstance(place, int) for line in some]
    assert division.latest == [max(times) * 1000 if times else None]


@settings(deadline=None)
@given(LINES)
def test_a_byte_of_a_pane_is_found_in_the_block(lines):
    data = "".join(f"{line}\n" for line in lines).encode()
    division = divide(RULE, data)
    for pane in division.panes:
        for at, byte in enumerate(bytes(pane.data)):
            assert data[division.position(pane.number, at)] == byte


@settings(deadline=None)
@given(st.lists(LINES.filter(bool), min_size=1, max_size=4), st.none() | st.integers(0, 5))
def test_the_latest_time_is_told_for_each_section(sections, open_from):
    blocks = ["".join(f"{line}\n" for line in lines).encode() for lines in sections]
    ends = [sum(map(len, blocks[: number + 1])) for number in range(len(blocks))]
    together = divide(RULE, b"".join(blocks), open_from=open_from, sections=ends)
    alone = [divide(RULE, block, open_from=open_from).latest[0] for block in blocks]
    assert together.latest == alone


def words(_key, line):
    for word in line.split()[1:]:
        if word == "w41":
            raise ValueError(word)
        yield word, 1


@pytest.fixture
def trail(tmp_path):
    path = tmp_path / "trail"
    path.write_bytes(NO_MARK)
    return str(path)


def program():
    return StepProgram(
        mapper=words,
        decoder=TextLines(),
        encoder=PairFormat(),
        reduction=FoldReduction(operator.add),
        layout=BucketLayout(Partitioning(3, hasher=KeyHasher()), 1),
    )


# The number of the split, the shares in a pane, the rule, the first open pane, what is believed, and sections.
SPLIT = (7, 3, tuple(RULE), 1, 60_000, ())
DATA = b"25 a b\n15 b\n5 c\n70 d\nno time\n26 a\n"


def test_each_pane_gives_the_runs_that_it_gives_as_a_split():
    items, facts = driven(program().map_panes(SPLIT, Rounds([DATA])))
    assert facts == {
        "records": 6,
        "pairs": 4,
        "pairs_out": 3,
        "panes": [1, 2],
        "aside": {"late": 1, "untimed": 1, "ahead": 1},
        "latest": [26_000],
    }
    panes = b"15 b\n", b"25 a b\n26 a\n"
    alone = [driven(program().map((7, True, False, b""), Rounds([lines])))[0] for lines in panes]
    assert [data for meta, data in items if meta[0] == "runs"] == [data for some in alone for _, data in some]
    shares = [list(memoryview(meta[2]).cast("I")) for meta, _ in items if meta[0] == "runs"]
    assert shares[0] == list(memoryview(alone[0][0][0][2]).cast("I"))
    assert shares[1] == [3 + share for share in memoryview(alone[1][0][0][2]).cast("I")]
    assert items[-3:] == [
        (("aside", "late"), b"5 c\n"),
        (("aside", "untimed"), b"no time\n"),
        (("aside", "ahead"), b"70 d\n"),
    ]


def test_a_record_that_fails_is_told_with_its_place_in_the_split():
    with pytest.raises(UserFailure) as caught:
        driven(program().map_panes(SPLIT, Rounds([DATA + b"15 x\n41 w41\n"])))
    assert caught.value.facts["position"] == len(DATA) + len(b"15 x\n")


def test_a_record_that_is_left_out_is_told_with_its_place_in_the_split(trail):
    guarded = ("map_panes", SPLIT, Guard(trail, {}, 50))
    items, facts = driven(program().guarded(guarded, Rounds([DATA + b"15 x\n41 w41\n"])))
    (entries,) = [marshal.loads(data) for meta, data in items if meta[0] == "skipped"]
    assert [entry[0] for entry in entries] == [len(DATA) + len(b"15 x\n")]
    assert facts["skipped"] == {"mapper": 1}
    assert facts["records"] == 8


def test_a_block_without_lines_has_no_panes():
    items, facts = driven(program().map_panes(SPLIT, Rounds([b""])))
    assert items == []
    assert facts == {"records": 0, "pairs": 0, "pairs_out": 0, "panes": [], "aside": {}, "latest": [None]}
