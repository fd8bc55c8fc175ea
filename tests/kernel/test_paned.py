"""A split that is mapped pane by pane gives for each what it gives as a split, however it is spread."""

import marshal
import operator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.batches import batch
from asyncmr.kernel import batching, mapping
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.decoding import TextLines
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.formats import PairFormat
from asyncmr.kernel.guarding import Guard
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.marks import NO_MARK
from asyncmr.kernel.paned import PanedProgram
from asyncmr.kernel.panes import PaneRule
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.program import StepProgram
from tests.kernel.feeds import Rounds, driven

RULE = PaneRule(r"^(\d+)", 10_000)


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


@batch(size=16)
def many_words(_keys, lines):
    pairs = [pair for line in lines for pair in words(None, line)]
    return [key for key, _ in pairs], [value for _, value in pairs]


def step(mapper=words, kind=StepProgram, **others):
    return kind(
        mapper=mapper,
        decoder=TextLines(),
        encoder=PairFormat(),
        reduction=FoldReduction(operator.add),
        layout=BucketLayout(Partitioning(3, hasher=KeyHasher()), 1),
        **others,
    )


def program(mapper=words):
    return step(mapper, PanedProgram, rule=RULE, shares=3)


# The first open pane, what is believed, and sections.
CUT = (1, 60_000, ())
WHOLE = (7, True, False, b"")
DATA = b"25 a b\n15 b\n5 c\n70 d\nno time\n26 a\n"


def test_each_pane_gives_the_runs_that_it_gives_as_a_split():
    items, facts = driven(program().paned((CUT, "map", WHOLE), Rounds([DATA])))
    assert facts == {
        "records": 6,
        "pairs": 4,
        "pairs_out": 3,
        "panes": [1, 2],
        "aside": {"late": 1, "untimed": 1, "ahead": 1},
        "latest": [26_000],
    }
    panes = b"15 b\n", b"25 a b\n26 a\n"
    alone = [driven(step().map(WHOLE, Rounds([lines])))[0] for lines in panes]
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
        driven(program().paned((CUT, "map", WHOLE), Rounds([DATA + b"15 x\n41 w41\n"])))
    assert caught.value.facts["position"] == len(DATA) + len(b"15 x\n")


def test_a_record_that_is_left_out_is_told_with_its_place_in_the_split(trail):
    guarded = ("paned", (CUT, "map", WHOLE), Guard(trail, {}, 50))
    items, facts = driven(program().guarded(guarded, Rounds([DATA + b"15 x\n41 w41\n"])))
    (entries,) = [marshal.loads(data) for meta, data in items if meta[0] == "skipped"]
    assert [entry[0] for entry in entries] == [len(DATA) + len(b"15 x\n")]
    assert facts["skipped"] == {"mapper": 1}
    assert facts["records"] == 8


def test_a_block_without_lines_has_no_panes():
    items, facts = driven(program().paned((CUT, "map", WHOLE), Rounds([b""])))
    assert items == []
    assert facts == {"records": 0, "pairs": 0, "pairs_out": 0, "panes": [], "aside": {}, "latest": [None]}


def of_kind(items, kind):
    return [item for item in items if item[0][0] == kind]


LINES = st.lists(st.integers(0, 60).map(lambda second: f"{second} w{second % 7} a"), max_size=60)


@pytest.mark.parametrize("mapper", [words, many_words])
@settings(deadline=None, max_examples=60)
@given(lines=LINES)
def test_a_split_that_is_handed_back_in_any_pane_and_finished_in_shares_gives_the_same_bytes(mapper, lines):
    data = "".join(f"{line}\n" for line in lines).encode()
    whole, facts = driven(program(mapper).paned((CUT, "map", WHOLE), Rounds([data])))
    with pytest.MonkeyPatch.context() as patch:
        for module in (mapping, batching):
            patch.setattr(module, "_PATIENCE", 0.0)
            patch.setattr(module, "_SHARE", 0.0)
        patch.setattr(mapping, "_SLOW_RECORD", 0.0)
        begun, left = driven(program(mapper).paned((CUT, "map", (7, False, False, b"")), Rounds([data])))
        if "left" not in left:
            assert begun == whole
            return
        cuts = list(pairwise(left["left"]))
        shares = [driven(program(mapper).paned((CUT, "share", cut), Rounds([data]))) for cut in cuts]
    fed = [*of_kind(begun, "state"), *of_kind(begun, "pairs"), *(item for some, _ in shares for item in some)]
    rounds = Rounds([block for _, block in fed])
    ended, end_facts = driven(program(mapper).paned((CUT, "resume", (7, left["state"], b"")), rounds))
    assert [block for _, block in of_kind(begun, "runs") + ended] == [b for _, b in of_kind(whole, "runs")]
    assert [meta[2] for meta, _ in of_kind(begun, "runs") + ended] == [
        m[2] for m, _ in of_kind(whole, "runs")
    ]
    assert of_kind(begun, "aside") == of_kind(whole, "aside")
    assert end_facts["pairs_out"] == facts["pairs_out"]
    assert left["records"] + sum(share["records"] for _, share in shares) == facts["records"]
    assert left["panes"] == facts["panes"]


def test_a_split_is_handed_back_between_panes_too(monkeypatch):
    monkeypatch.setattr(mapping, "_PATIENCE", 0.0)
    monkeypatch.setattr(mapping, "_SLOW_RECORD", 0.0)
    monkeypatch.setattr(mapping, "_SHARE", 0.0)
    data = "".join(f"{second} a\n" for second in range(10, 60, 10)).encode()
    _, facts = driven(program().paned((CUT, "map", (7, False, False, b"")), Rounds([data])))
    assert facts["left"] == [10, 15, 20, 25]
    assert facts["records"] == 2
