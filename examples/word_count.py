"""Counts words and shows the most frequent ones.

    python examples/word_count.py 'books/**/*.txt'
    asyncmr run examples/word_count.py:job 'books/**/*.txt'

Without arguments it counts the words of the Python standard library's own source files. Memory stays bounded:
pairs are taken from the stream as partitions are done, and only the top of them is kept.
"""

import asyncio
import heapq
import operator
import sys
import sysconfig
from pathlib import Path

from tqdm import tqdm

import asyncmr
from asyncmr.progress import Progress
from asyncmr.report import Report

TOP = 20


def words(_key, line):
    for word in line.split():
        yield word, 1


job = asyncmr.Job(mapper=words, fold=operator.add, name="word count")


class Bars:
    """A progress bar for each stage, where a person is watching."""

    def __init__(self) -> None:
        self.bars: dict[str, tqdm] = {}

    def show(self, progress: Progress) -> None:
        for stage in progress.stages:
            if stage.name not in self.bars:
                self.bars[stage.name] = tqdm(
                    desc=stage.name,
                    unit="B" if stage.unit == "B" else f" {stage.unit}",
                    unit_scale=stage.unit == "B",
                    position=len(self.bars),
                    disable=None,  # on a terminal only
                )
            bar = self.bars[stage.name]
            bar.total = stage.total
            bar.update(stage.done - bar.n)

    def close(self) -> None:
        for bar in self.bars.values():
            bar.close()


async def count(source: list[str], progress: Bars) -> tuple[list[tuple[str, int]], int, int, Report]:
    """The most frequent words, how many words there are, how many different ones, and the report."""
    top: list[tuple[int, str]] = []
    total = different = 0
    async with asyncmr.stream(job, source, progress=progress.show) as pairs:
        async for word, number in pairs:
            total += number
            different += 1
            heapq.heappush(top, (number, word))
            if len(top) > TOP:
                heapq.heappop(top)
    return [(word, number) for number, word in sorted(top, reverse=True)], total, different, pairs.report


def show(top: list[tuple[str, int]], total: int, different: int, report: Report) -> None:
    for word, number in top:
        print(f"{number:>12,}  {word}")
    print(f"\n{total:,} words, {different:,} of them different")
    print(report)


def standard_library() -> list[str]:
    """The standard library's own source files, without what was installed beside it."""
    root = Path(sysconfig.get_path("stdlib"))
    installed = {"site-packages", "dist-packages"}
    return sorted(str(path) for path in root.rglob("*.py") if installed.isdisjoint(path.parts))


def main() -> None:
    source = sys.argv[1:]
    if source:
        print("counting the words of", *source)
    else:
        source = standard_library()
        print(f"counting the words of the standard library's own {len(source):,} source files")
    bars = Bars()
    try:
        counted = asyncio.run(count(source, bars))
    finally:
        bars.close()
    show(*counted)


if __name__ == "__main__":
    main()
