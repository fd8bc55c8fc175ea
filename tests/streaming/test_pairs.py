"""How many words were counted does not depend on what counted them."""

from __future__ import annotations

from collections import Counter

import pytest

import asyncmr
from asyncmr import Job, jobs
from asyncmr.streaming import Stream
from tests.streaming.feeds import Listed


@asyncmr.batch
def counted(_keys, lines):
    return Counter(" ".join(lines).split())


@pytest.mark.parametrize("job", [jobs.wordcount, Job(mapper=counted, aggregator=asyncmr.Count())])
async def test_every_word_is_a_pair(job):
    async with Stream(
        job, [Listed([b"to be or not to be\n", b"to be\n"])], executor="inline", workers=1
    ) as stream:
        await stream.join()
        assert stream.stats().pairs == 8
