"""The visits of each user: events in the order of their time, user by user, however they lie in the input.

    python examples/secondary_sort.py                      # makes some log files first
    python examples/secondary_sort.py 'logs/*.tsv'

A line of a log is `seconds<TAB>user<TAB>page`. A visit ends when its user is away for half an hour.

Whoever knows Hadoop would make keys of a user and a time here, with a partitioner, a sorting and a grouping of their
own. None of that is needed where the values of a key come in the order of the input: the first step puts all events in
the order of their time, and the second one groups them by user, which keeps that order. The reducer holds one visit at
a time, so that a user may have more events than memory holds. (Where that cannot be, `sorted(values)` in the reducer of
a single step is quicker.)
"""

import asyncio
import random
import sys
import tempfile
from pathlib import Path

import asyncmr

BREAK = 30 * 60


def by_time(_key, line):
    seconds, user, page = line.split("\t")
    yield int(seconds), (user, page)


def by_user(seconds, event):
    user, _page = event
    yield user, seconds


def visits(user, times):
    """Each visit's begin and end, and how many pages it saw."""
    begin = end = next(times)
    pages = 1
    for seconds in times:
        if seconds - end > BREAK:
            yield user, (begin, end, pages)
            begin, pages = seconds, 0
        end = seconds
        pages += 1
    yield user, (begin, end, pages)


in_order = asyncmr.Job(mapper=by_time, sort="total", name="events in order")
job = in_order.then(asyncmr.Job(mapper=by_user, reducer=visits, name="visits"))


def make_logs(folder: Path) -> Path:
    """Some days of some users, in four logs that are in no order."""
    chance = random.Random(7)
    lines = []
    for user in ("ann", "bob", "cy"):
        seconds = 0
        for _ in range(2000):
            seconds += chance.choice((5, 60, 600)) if chance.random() < 0.92 else 9 * 3600
            lines.append(f"{seconds}\t{user}\t/page/{chance.randrange(50)}\n")
    chance.shuffle(lines)
    for number in range(4):
        (folder / f"log-{number}.tsv").write_text("".join(lines[number::4]))
    return folder


async def show(logs: str) -> None:
    longest: dict[str, tuple[int, int]] = {}
    numbers: dict[str, int] = {}
    async with asyncmr.stream(job, logs, workers=2) as pairs:
        async for user, (begin, end, pages) in pairs:
            numbers[user] = numbers.get(user, 0) + 1
            longest[user] = max(longest.get(user, (0, 0)), (end - begin, pages))
    for user, number in sorted(numbers.items()):
        seconds, pages = longest[user]
        print(f"{user}: visits: {number}, the longest: {seconds // 60} minutes, {pages} pages")


def main() -> None:
    if len(sys.argv) > 2:
        sys.exit(f"usage: {sys.argv[0]} [LOGS]")
    if len(sys.argv) == 2:
        asyncio.run(show(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(show(str(make_logs(Path(folder)))))


if __name__ == "__main__":
    main()
