"""A stream over a log and a folder is killed again and again, while the log is rotated: every line counts once."""

from __future__ import annotations

import os
import shutil
from collections import Counter

from tests.workers.talking import run_script

SCRIPT = """
import asyncio, operator, sys
from asyncmr import Job
from asyncmr.streaming import Stream
from asyncmr.streaming.feeds import feed_of

def words(_key, line):
    return [(word, 1) for word in line.split()]

async def main(folder, keepers, until):
    job = Job(mapper=words, fold=operator.add)
    feeds = [feed_of(f"tail:{folder}/app.log"), feed_of(f"dir:{folder}/files")]
    options = dict(state=f"{folder}/state", workers=1, keepers=keepers, interval=0.01, executor="inline")
    async with Stream(job, feeds, **options) as stream:
        updates = aiter(stream)
        while (await stream.get("all") or 0) < until:
            update = await anext(updates)
            print(update.epoch, flush=True)
        print(sorted(await stream.top(1000)), flush=True)

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


class Sources:
    """A log and a folder, and what has been written to them."""

    def __init__(self, folder) -> None:
        self._folder = folder
        self._log = folder / "app.log"
        self._files = folder / "files"
        self._files.mkdir()
        self.words = Counter[str]()

    def append(self) -> None:
        with self._log.open("ab") as log:
            log.write(self._lines())

    def put(self) -> None:
        number = self.words.total()
        hidden = self._files / f".{number}"
        hidden.write_bytes(self._lines())
        os.utime(hidden, (number, number))
        hidden.rename(self._files / f"{number}.txt")

    def rename(self) -> None:
        self._shift()
        self._log.rename(f"{self._log}.1")
        self._log.touch()

    def copytruncate(self) -> None:
        self._shift()
        shutil.copy(self._log, f"{self._log}.1")
        os.truncate(self._log, 0)

    def _shift(self) -> None:
        for number in range(9, 0, -1):
            if os.path.exists(f"{self._log}.{number}"):
                os.rename(f"{self._log}.{number}", f"{self._log}.{number + 1}")

    def _lines(self) -> bytes:
        start = self.words.total() // 2
        names = [f"line-{number}" for number in range(start, start + 50)]
        self.words.update(names)
        self.words["all"] += len(names)
        return "".join(f"{name} all\n" for name in names).encode()


async def test_killed_again_and_again_a_stream_counts_every_line_of_its_files_once(tmp_path):
    sources = Sources(tmp_path)
    never = 10**9
    for round, rotate in enumerate((sources.rename, sources.copytruncate, sources.rename)):
        sources.append()
        sources.put()
        process = await run_script(
            tmp_path / "script.py", SCRIPT, str(tmp_path), str(1 + round % 2), str(never)
        )
        assert process.stdout is not None
        await process.stdout.readline()
        sources.append()
        rotate()
        sources.append()
        await process.stdout.readline()
        process.kill()
        await process.wait()
        sources.append()
        rotate()
        sources.put()
    total = sources.words["all"]
    process = await run_script(tmp_path / "script.py", SCRIPT, str(tmp_path), "2", str(total))
    out, _ = await process.communicate()
    assert out.decode().splitlines()[-1] == str(sorted(sources.words.items()))
