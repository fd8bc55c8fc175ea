"""Two jobs inside an asyncio application that goes on working meanwhile.

One engine, with its worker processes and its memory, serves any number of jobs at once. The event loop only
moves blocks of bytes, so the application's own tasks keep their pace: the heart below beats a hundred times a
second, and the longest gap between two beats is shown at the end.

    python examples/in_an_async_app.py 'books/**/*.txt'
"""

import asyncio
import operator
import sys
import time

import asyncmr


def words(_key, line):
    for word in line.split():
        yield word, 1


def lengths(_key, line):
    yield len(line), 1


count_words = asyncmr.Job(mapper=words, fold=operator.add, name="words")
count_lengths = asyncmr.Job(mapper=lengths, fold=operator.add, name="line lengths")


async def beat(gaps: list[float]) -> None:
    """Stands for the application: requests answered, sockets read."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(0.01)
        gaps.append(time.perf_counter() - start)


async def serve(source: str) -> None:
    gaps: list[float] = []
    heart = asyncio.create_task(beat(gaps))
    try:
        async with asyncmr.Engine(workers=2, memory="512 MiB") as engine:
            found, lines = await asyncio.gather(
                engine.collect(count_words, source), engine.collect(count_lengths, source)
            )
    finally:
        heart.cancel()
    word, number = max(found, key=lambda pair: pair[1])
    print(f"the most frequent of {len(found):,} words is {word!r}, {number:,} times")
    print(f"the longest line has {max(length for length, _ in lines):,} characters")
    print(f"{len(gaps)} heartbeats meanwhile, the longest gap {max(gaps) * 1000:.1f} ms")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} SOURCE")
    asyncio.run(serve(sys.argv[1]))
