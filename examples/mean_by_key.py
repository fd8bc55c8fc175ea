"""The mean temperature of each city, and by how much it deviates, over JSON lines.

    python examples/mean_by_key.py                         # makes a hundred thousand readings first
    python examples/mean_by_key.py 'readings/*.jsonl'
    asyncmr run examples/mean_by_key.py:job 'readings/*.jsonl' --input-format jsonl

A line is `{"city": "Oslo", "celsius": -3.5}`. `asyncmr.Mean()` would give the means alone. For the deviation as well
there is an aggregator of one's own: what it keeps of some values, how it takes one more, how two such become one, and
what comes of it in the end.
"""

import asyncio
import json
import math
import random
import sys
import tempfile
from pathlib import Path

import asyncmr
from asyncmr.testing import check_reducer


class MeanAndDeviation:
    """The number of values, their mean, and the sum of the squares of their distances from it.

    Sums of squares alone would lose all digits where the values lie close together. How two of these become one is
    due to Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    """

    def zero(self):
        return 0, 0.0, 0.0

    def add(self, acc, value):
        return self.merge(acc, (1, value, 0.0))

    def merge(self, left, right):
        (n, mean, squares), (m, other, others) = left, right
        if not n or not m:
            return left if n else right
        away = other - mean
        return n + m, mean + away * m / (n + m), squares + others + away * away * n * m / (n + m)

    def finish(self, acc):
        n, mean, squares = acc
        return n, mean, math.sqrt(squares / n)


def readings(_key, reading):
    yield reading["city"], reading["celsius"]


job = asyncmr.Job(mapper=readings, aggregator=MeanAndDeviation(), name="temperatures")


def make_readings(folder: Path, number: int = 100_000) -> Path:
    chance = random.Random(7)
    climates = {"Cairo": (22, 6), "Lima": (19, 3), "Oslo": (6, 8), "Quito": (14, 1)}
    with (folder / "readings.jsonl").open("w") as file:
        for _ in range(number):
            city, (mean, deviation) = chance.choice(list(climates.items()))
            celsius = round(chance.gauss(mean, deviation), 1)
            file.write(json.dumps({"city": city, "celsius": celsius}) + "\n")
    return folder


async def show(source: str) -> None:
    result = await asyncmr.collect(job, asyncmr.json_lines(source))
    for city, (number, mean, deviation) in sorted(result):
        print(f"{city:10} {mean:6.2f} ± {deviation:.2f} °C, {number:,} readings")


def main() -> None:
    check_reducer(job, [3.5, -1.0, 3.5, 20.25])  # merged in any way it gives the same; a test would do this
    if len(sys.argv) > 2:
        sys.exit(f"usage: {sys.argv[0]} [READINGS]")
    if len(sys.argv) == 2:
        asyncio.run(show(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(show(str(make_readings(Path(folder)))))


if __name__ == "__main__":
    main()
