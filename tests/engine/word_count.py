"""A small input, its word count, and the two ways in which an engine runs it."""

from __future__ import annotations

from collections import Counter

import asyncmr
from asyncmr import Job
from asyncmr.pipeline.limits import Limits
from tests.family import total

TEXT = ["to be or not to be", "that is the question", "", "to sleep to dream"]
WORDS = Counter(" ".join(TEXT).split())

# Each stage with tasks of its own, merging and spilling; and a small job as one task.
STAGED = Limits(fused=0, fan_in=2, large_partial=0, shuffle=1, round=1)
WAYS = {"staged": STAGED, "small": None}


def words(_key, line):
    for word in line.split():
        yield word, 1


def swapped(key, value):
    yield value, key


COUNT = Job(mapper=words, combiner=total, reducer=total, name="count")


def source(records=TEXT):
    """The records, each a task."""
    return asyncmr.records(records, records_per_task=1)
