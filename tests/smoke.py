"""A word count through the public face, in worker processes; run by scripts/test on every Python it finds."""

import asyncio
import collections
import operator
import platform
import sys
import tempfile
from pathlib import Path

import asyncmr


def words(_key, line):
    for word in line.split():
        yield word, 1


JOB = asyncmr.Job(mapper=words, fold=operator.add)
SOURCE = Path(__file__).parents[1] / "asyncmr"


async def smoke() -> None:
    """Counts our own sources, collected and written, and compares with a naive count."""
    pattern = f"{SOURCE}/**/*.py"
    expected = collections.Counter(
        word for path in SOURCE.rglob("*.py") for word in path.read_text(encoding="utf-8").split()
    )
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out")
        async with asyncmr.Engine(workers=2, executor="process") as engine:
            result = await engine.collect(JOB, pattern)
            await engine.run(JOB, pattern, str(output))
        lines = [line for part in output.glob("part-*") for line in part.read_text("utf-8").splitlines()]
    if dict(result) != expected:
        sys.exit("smoke: the collected counts differ from a naive count")
    if len(lines) != len(expected):
        sys.exit(f"smoke: {len(lines)} lines were written for {len(expected)} words")
    print(f"smoke: {len(expected)} words counted right on Python {platform.python_version()}")


if __name__ == "__main__":
    asyncio.run(smoke())
