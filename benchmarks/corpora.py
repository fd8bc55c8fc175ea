"""The inputs: made here from fixed seeds, in pure Python, and kept in a folder for the next run.

A corpus is a chain of blocks, each made from its own seed, so that processes make them in parallel and a small corpus
is the beginning of a large one. Files have at most 64 MB, and end at a line's end.

`words`      lines of 10 to 20 words, drawn from a vocabulary of a million by a bounded power law (exponent 1.07)
`documents`  the same kind of lines, each behind an ascending number and a tab
`log`        JSON records of requests; users drawn from 200,000 by a power law (1.2)
`records`    100 bytes a record: ten random printable characters as key, the record's number, filler
`tasks`      a number a line, two tasks of 50 ms for each MB, at most 200
`hot`        100-byte records `key<TAB>payload`; 99 of 100 have the same key
`unique`     the same, every key different
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import count
from multiprocessing import get_context
from pathlib import Path

MB = 1_000_000
FILE_SIZE = 64 * MB
# Part of a cached corpus's name: raise it when a generator changes.
VERSION = 1
_LINES = 20_000  # of text a block
_RECORDS = 20_000  # of 100 bytes a block


def corpus(folder: Path, kind: str, size: int) -> list[Path]:
    """The files of the corpus `kind` of about `size` bytes under `folder`; made if they are not there yet."""
    place = folder / f"{kind}-{size}-v{VERSION}"
    if not place.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f"making-{kind}-", dir=folder))
        try:
            _write(making, kind, size)
            making.replace(place)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    return sorted(place.glob("part-*"))


def _write(folder: Path, kind: str, size: int) -> None:
    with _Blocks(kind, size) as blocks:
        left, number = size, count()
        block = b""
        while left > 0:
            with open(folder / f"part-{next(number):05d}.txt", "wb") as file:
                room = min(FILE_SIZE, left)
                while room > 0:
                    block = block or next(blocks, b"")
                    cut = len(block) if len(block) <= room else block.rfind(b"\n", 0, room) + 1
                    if not cut:
                        break
                    file.write(block[:cut])
                    block, room, left = block[cut:], room - cut, left - cut
            ended = room > 0 and not block
            if ended or left < 4096:  # what is left of `size` would not hold a line
                return


class _Blocks:
    """The endless blocks of a kind, in order, made by as many processes as there are CPUs."""

    def __init__(self, kind: str, size: int) -> None:
        self._make = _BLOCKS[kind]
        self._size = size
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Iterator[bytes]:
        if self._make is _tasks:
            return iter([_tasks(min(200, max(2, 2 * self._size // MB)))])
        if self._size <= 4 * MB:
            return map(self._make, count())
        self._pool = ProcessPoolExecutor(mp_context=get_context("spawn"))
        return self._ahead(self._pool)

    def _ahead(self, pool: ProcessPoolExecutor) -> Iterator[bytes]:
        width = 2 * (os.cpu_count() or 1)
        waiting = [pool.submit(self._make, index) for index in range(width)]
        for index in count(width):
            yield waiting.pop(0).result()
            waiting.append(pool.submit(self._make, index))

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _power_law(exponent: float, ranks: int) -> Callable[[random.Random], int]:
    """Draws ranks from 0, the inverse of the distribution function of a bounded Pareto law."""
    span = 1 - (ranks + 1) ** (1 - exponent)
    power = 1 / (1 - exponent)
    return lambda rng: int((1 - rng.random() * span) ** power) - 1


@cache
def _vocabulary() -> list[str]:
    """A million different words; frequent ones are short."""
    rng = random.Random(7)
    letters, weights = "etaoinsrhldcumfpgwybvkxjqz", [26 - rank for rank in range(26)]
    stream = "".join(rng.choices(letters, weights, k=4_000_000))
    found: dict[str, None] = {}
    rank = 0
    while len(found) < 1_000_000:
        length = min(2 + len(str(rank)) + rng.randrange(-1, 3), 12)
        start = rng.randrange(len(stream) - 12)
        found[stream[start : start + length]] = None
        rank += 1
    return list(found)


def _sentences(rng: random.Random) -> Iterator[str]:
    """The lines of a block. The law is written out: a call for each word would triple the time."""
    vocabulary = _vocabulary()
    span, power = 1 - (len(vocabulary) + 1) ** -0.07, 1 / -0.07
    draw, last = rng.random, len(vocabulary) - 1
    for _ in range(_LINES):
        ranks = [int((1 - draw() * span) ** power) - 1 for _ in range(rng.randrange(10, 21))]
        yield " ".join([vocabulary[rank if rank < last else last] for rank in ranks])


def _words(index: int) -> bytes:
    return ("\n".join(_sentences(random.Random(f"words {index}"))) + "\n").encode()


def _documents(index: int) -> bytes:
    lines = enumerate(_sentences(random.Random(f"documents {index}")), index * _LINES)
    return "".join([f"{number}\t{text}\n" for number, text in lines]).encode()


def _log(index: int) -> bytes:
    rng = random.Random(f"log {index}")
    user, page = _power_law(1.2, 200_000), _power_law(1.05, 50_000)
    lines = []
    for record in range(_LINES):
        size = min(int(rng.lognormvariate(8, 1.5)), 100_000_000)
        moment = 1_700_000_000 + (index * _LINES + record) / 20
        lines.append(
            f'{{"user": "user{user(rng)}", "url": "/page/{page(rng)}", "bytes": {size}, "time": {moment:.2f}}}\n'
        )
    return "".join(lines).encode()


# Without a backslash, which asyncmr's text output escapes and that of others does not.
_PRINTABLE = "".join(map(chr, range(33, 127))).replace("\\", "")


def _records(index: int) -> bytes:
    rng = random.Random(f"records {index}")
    characters = "".join(rng.choices(_PRINTABLE, k=10 * _RECORDS))
    filler = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 2
    return "".join(
        [
            f"{characters[10 * n : 10 * n + 10]} {index * _RECORDS + n:016d} {filler}"[:99] + "\n"
            for n in range(_RECORDS)
        ]
    ).encode()


def _tasks(number: int) -> bytes:
    return "".join(f"{task}\n" for task in range(number)).encode()


def _keyed(index: int, hot: int) -> bytes:
    rng = random.Random(f"keyed {index}")
    lines = []
    for record in range(index * _RECORDS, (index + 1) * _RECORDS):
        # An odd multiplier visits every number below 2 ** 40 once: different keys, in no order.
        key = f"{record * 0x5DEECE66D & 0xFFFFFFFFFF:010x}" if record % 100 >= hot else "the hot key"
        lines.append(f"{key}\t{rng.randrange(1_000_000):06d}".ljust(99, ".") + "\n")
    return "".join(lines).encode()


def _hot(index: int) -> bytes:
    return _keyed(index, 99)


def _unique(index: int) -> bytes:
    return _keyed(index, 0)


_BLOCKS: dict[str, Callable[[int], bytes]] = {
    "words": _words,
    "documents": _documents,
    "log": _log,
    "records": _records,
    "tasks": _tasks,
    "hot": _hot,
    "unique": _unique,
}
KINDS = tuple(_BLOCKS)
