"""Splits of several named inputs: handed back in the middle or not, the bytes are the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from asyncmr import batch
from asyncmr.errors import UsageError
from asyncmr.kernel import batching, mapping
from asyncmr.kernel.blocks import decode_pairs, encode_pairs
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.decoding import PairBlocks, TextLines
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.formats import PairFormat
from asyncmr.kernel.grouping import GroupReduction
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.naming import NamedDecoders, first_position, program_of, runnable_mapper
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.protocols import Section
from tests.family import listed
from tests.kernel.feeds import Rounds, driven

TEXT = b"".join(b"line %d\n" % number for number in range(400))
RECORDS = encode_pairs([None] * 300, [f"record {number}" for number in range(300)])
PARTS = {"text": TEXT, "records": RECORDS, "more": TEXT[: TEXT.index(b"line 200\n")]}


def lines(_key, line):
    yield line[-1], ("line", line)
    yield "all", line


def records(_key, record):
    yield record[-1], ("record", record)


@batch(size=100)
def many(_keys, lines):
    return [line[-1] for line in lines], [("many", line) for line in lines]


def sections():
    ends = [0]
    for part in PARTS.values():
        ends.append(ends[-1] + len(part))
    return tuple(Section(number, *bounds) for number, bounds in enumerate(pairwise(ends)))


def program(*mappers, reduces=True):
    decoders = NamedDecoders(tuple(PARTS), (TextLines(), PairBlocks(keyed=False), TextLines()))
    return program_of(
        dict(zip(PARTS, mappers, strict=True)),
        decoders,
        encoder=PairFormat(),
        reduction=GroupReduction(None, listed) if reduces else None,
        layout=BucketLayout(Partitioning(3, hasher=KeyHasher()), 2, bucket_bytes=1000),
    )


def run(program, method, own):
    return driven(program.named((sections(), method, own), Rounds([b"".join(PARTS.values())])))


@pytest.mark.parametrize("lonely", [(), ("text",), ("text", "records")], ids=str)
@pytest.mark.parametrize("reduces", [True, False])
@pytest.mark.parametrize("mappers", [(lines, records, many), (many, many, many), (lines, records, lines)])
def test_a_split_handed_back_in_any_section_and_finished_gives_the_same_bytes(
    mappers, reduces, lonely, monkeypatch
):
    alone = {"text": b"line 1\n", "records": encode_pairs([None], ["record 1"])}
    for name in lonely:  # of one record, which is never given back
        monkeypatch.setitem(PARTS, name, alone[name])
    made = program(*mappers, reduces=reduces)
    whole, facts = run(made, "map", (0, True, False, b""))
    for module in (mapping, batching):
        monkeypatch.setattr(module, "_PATIENCE", 0.0)
        monkeypatch.setattr(module, "_SHARE", 0.0)
    monkeypatch.setattr(mapping, "_SLOW_RECORD", 0.0)
    begun, left = run(made, "map", (0, False, False, b""))
    cuts = list(pairwise(left["left"]))
    assert len(cuts) > 5
    assert left["records"] < 50  # it stopped in the first section that has many
    shares = [run(made, "share", cut) for cut in cuts]
    fed = [data for _, data in begun] + [data for items, _ in shares for _, data in items]
    resumed = made.named((sections(), "resume", (0, left["state"], b"")), Rounds(fed))
    ended, end_facts = driven(resumed)
    assert ended == whole
    assert end_facts["pairs_out"] == facts["pairs_out"]
    assert left["records"] + sum(share["records"] for _, share in shares) == facts["records"]


def test_a_failure_is_told_with_its_input_and_its_place_in_the_split():
    def picky(_key, record):
        if record.endswith(" 7"):
            raise ValueError
        yield record, 1

    where = [
        (0, TEXT.index(b"line 7\n")),
        (1, first_position(1, 0, PairBlocks()) + 7),
        (2, len(TEXT) + len(RECORDS) + TEXT.index(b"line 7\n")),
    ]
    for number, position in where:
        mappers = [lines] * 3
        mappers[number] = picky
        with pytest.raises(UserFailure, match="picky raised ValueError") as caught:
            run(program(*mappers), "map", (0, True, False, b""))
        assert (caught.value.facts["input"], caught.value.facts["position"]) == (
            list(PARTS)[number],
            position,
        )


def test_a_mapper_without_its_form_is_refused_by_the_name_of_its_input():
    decoders = NamedDecoders(("a", "b"), (TextLines(), PairBlocks()))
    alone = batch("bytes")(lambda keys, block: {})
    otherwise = batch("bytes", otherwise=lines)(lambda keys, block: {})
    assert runnable_mapper({"a": alone, "b": otherwise}, decoders) == {"a": alone, "b": lines}
    with pytest.raises(UsageError, match="the input 'b':"):
        runnable_mapper({"a": alone, "b": alone}, decoders)


class Upper:
    """A decoder of lines that is no `TextDecoder`, and says that its positions are byte offsets all the same."""

    byte_positions = True

    def decode(self, data, start, stop, size):
        for some in TextLines().decode(data, start, stop, size):
            yield some._replace(values=[line.upper() for line in some.values])

    def end(self, data):
        return len(data)

    def advance(self, data, start, records):
        return TextLines().advance(data, start, records)


def test_a_decoder_may_say_that_its_positions_are_byte_offsets():
    assert first_position(3, 50, Upper()) == first_position(3, 50, TextLines()) == 50
    assert first_position(3, 50, PairBlocks()) == 4 << 48
    both: Any = program_of(
        {"a": lines, "b": records}, NamedDecoders(("a", "b"), (TextLines(), Upper())), encoder=PairFormat()
    )
    data = b"x\ny\n"
    task = both.named(((Section(0, 0, 2), Section(1, 2, 4)), "map", (0, True, False, b"")), Rounds([data]))
    [(_, block)], _ = driven(task)
    assert decode_pairs(block)[1] == [("line", "x"), "x", ("record", "Y")]
