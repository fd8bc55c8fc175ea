"""Keepers that die while they tell what changed, and encoders and sinks that raise."""

from __future__ import annotations

import json
import operator
import os
import signal
import sys
from dataclasses import dataclass

import pytest

from asyncmr import FormatError, Job, StorageError
from asyncmr.streaming import JsonResults, Results, Stream
from asyncmr.streaming.sinks import JsonLinesFile
from tests.streaming.feeds import Instant, Listed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kills itself")

KEYS = [f"key-{number:06}" for number in range(80_000)]  # more lines than a keeper's reply may hold


def words(_key, line):
    return [(word, 1) for word in line.split()]


COUNT = Job(mapper=words, fold=operator.add)


@dataclass(frozen=True)
class Dying:
    """Kills its process when nearly all is told, once."""

    folder: str

    def encode(self, results):
        told = len(os.listdir(self.folder))
        if told <= 60:
            open(f"{self.folder}/{told}", "x").close()
        if told == 60:
            os.kill(os.getpid(), signal.SIGKILL)
        return JsonResults().encode(results)


class Encoded(JsonLinesFile):
    """Lines of another encoder."""

    def __init__(self, path, encoder):
        super().__init__(path)
        self.encoder = encoder


async def test_what_a_keeper_told_before_it_died_is_not_told_twice(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    sink = Encoded(tmp_path / "out", Dying(str(marks)))
    async with Stream(COUNT, [Listed([" ".join(KEYS).encode()])], workers=1, sinks=[sink]) as stream:
        await stream.join()
    assert len(os.listdir(marks)) == 61
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert sorted(line["key"] for line in lines) == KEYS


class Broken:
    def encode(self, results: Results) -> bytes:
        raise LookupError("no such column")


async def test_an_encoder_that_raises_ends_the_stream_with_its_name(tmp_path):
    sink = Encoded(tmp_path / "out", Broken())
    with pytest.raises(
        FormatError, match="job 'words', stage 'keep': the encoder Broken raised LookupError: no such"
    ):
        async with Stream(COUNT, [Listed([b"a"])], executor="inline", workers=1, sinks=[sink]) as stream:
            await stream.join()


async def test_a_sink_that_raises_ends_the_stream_with_its_name(tmp_path):
    class Failing(JsonLinesFile):
        name = "table:counts"

        async def write(self, epoch, blocks):
            raise ConnectionError("the server went away")

    message = (
        r"job 'words': the sink 'table:counts' raised ConnectionError: the server went away; epoch 1 is not"
    )
    with pytest.raises(StorageError, match=message):
        async with Stream(
            COUNT,
            [Listed([b"a"])],
            executor="inline",
            workers=1,
            clock=Instant(),
            sinks=[Failing(tmp_path / "out")],
        ) as stream:
            await stream.join()
