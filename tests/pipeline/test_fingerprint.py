"""What tells a job from another: its functions by what they do, and everything else that decides its bytes."""

from __future__ import annotations

import enum
import functools
import operator
import os
import subprocess
import sys
from pathlib import Path

import pytest

import asyncmr
from asyncmr import jobs
from asyncmr.connectors.text import TextFiles
from asyncmr.kernel.description import digest
from asyncmr.pipeline.fingerprint import differences
from asyncmr.storage.disk import Disk

ROOT = Path(__file__).parents[2]

BASE = """
import re, random
LIMIT = 3
STOP = {"the", "a", "of", "and", "to"}
CACHE = random.Random()
def helper(x):
    return x + 1
class Tool:
    size = 4
    def use(self, x):
        return x * 2
def made(n):
    tool = Tool()
    def mapper(_key, line, *, base=10):
        "Says what it does."
        for word in line.split():
            if word not in STOP and len(word) > LIMIT and re.match("a+", word) and CACHE:
                yield tool.use(word), helper(n) + (lambda x: x * base)(5)
    return mapper
MAPPER = made(7)
"""


def digest_of(text: str) -> str:
    space = {"__name__": "mine"}
    exec(compile(text, "mine.py", "exec"), space)
    return digest(space["MAPPER"])


@pytest.mark.parametrize(
    "change",
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ('"the", ', ""),
        ("return x + 1", "return x + 2"),
        ("return x * 2", "return x * 3"),
        ("size = 4", "size = 5"),
        ("base=10", "base=11"),
        ("made(7)", "made(8)"),
        ("x * base", "x - base"),
        ('"a+"', '"b+"'),
        ("re.match", "re.search"),
        ("yield tool", "yield tool, 1\n                yield tool"),
    ],
    ids=str,
)
def test_a_change_of_what_a_function_does_changes_its_digest(change):
    assert digest_of(BASE.replace(*change)) != digest_of(BASE)


@pytest.mark.parametrize(
    "change",
    [
        ("import re", "# A comment.\n\n\nimport re"),
        ("Says what it does.", "Says it otherwise."),
        ('"the", "a"', '"a", "the"'),
        ("LIMIT = 3", "LIMIT = 3\nUNUSED = 5"),
        ("random.Random()", "random.Random(5)"),
    ],
    ids=str,
)
def test_a_change_of_nothing_that_counts_does_not(change):
    assert digest_of(BASE.replace(*change)) == digest_of(BASE)


def test_a_digest_is_the_same_in_every_process():
    """Whatever the order of sets is there, or the addresses of objects."""
    program = "from tests.pipeline.test_fingerprint import *; print(digest_of(BASE), *map(digest, ZOO))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {" ".join([digest_of(BASE), *map(digest, ZOO)]) + "\n"}


class Colour(enum.Enum):
    RED = 1


class State:
    """Refers to itself, and to what cannot be pickled."""

    def __init__(self, value):
        self.value = value
        self.me = self
        self.lock = Disk

    def method(self, key, values):
        yield key, self.value


def recursive(n):
    return recursive(n - 1) if n else 0


ZOO = [
    operator.add,
    max,
    str.upper,
    len,
    recursive,
    State(frozenset("abcdef")).method,
    State({"a": [1, 2.5, b"x" * 100, None]}),
    functools.partial(recursive, Colour.RED),
    functools.partial(operator.add, 5),
    asyncmr.Sum(),
    asyncmr.Count(),
    jobs.words,
    jobs.words_by_arrow,
    lambda x: x,
    lambda x: (x, 1),
]


def test_what_differs_in_the_zoo_has_different_digests():
    assert len(set(map(digest, ZOO))) == len(ZOO)


def test_differences_are_told_in_words():
    before = {"the mapper": "code words 12", "the fold": "none", "partitions": "3", "the input 'a'": "1 byte"}
    now = {
        "the mapper": "code words 13",
        "the fold": "code add 5",
        "partitions": "3",
        "the input 'b'": "1 byte",
    }
    assert differences(before, now) == [
        "the mapper 'words' has changed since",
        "the fold was none and is 'add' now",
        "the input 'a' is gone",
        "the input 'b' is new",
    ]
    assert differences(before, before) == []
    many = differences({}, {str(number): "" for number in range(9)})
    assert (len(many), many[-1]) == (6, "4 more things differ")


async def test_text_files_know_their_files_in_order(tmp_path):
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text("x\n")

    async def fingerprint(*paths, **options):
        source = TextFiles(list(paths), **options)
        async with Disk() as disk:
            await source.prepare(disk)
        return source.fingerprint()

    first = await fingerprint(*paths)
    assert await fingerprint(*paths) == first
    assert await fingerprint(*reversed(paths)) != first
    assert await fingerprint(*paths, split_bytes=5) != first
    os.utime(paths[0], ns=(1, 1_000_000_002))
    (told,) = differences(first, await fingerprint(*paths))
    assert told.startswith(f"the input {str(paths[0])!r} was 2 bytes, changed at 20")
    assert told.endswith("and is 2 bytes, changed at 1970-01-01 00:00:01.000000002 UTC now")
