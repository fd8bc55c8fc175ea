"""The daemon, which kills itself at a step of a commit.

    python -m tests.streaming.fatal_daemon FOLDER KEEPERS STEP TIMES [MUTANT]

It reads FOLDER/log, the files of FOLDER/files, and what is posted, and dies when STEP is reached for the TIMES-th time.
"""

from __future__ import annotations

import asyncio
import operator
import sys

from asyncmr import Job
from asyncmr.streaming import Stream
from asyncmr.streaming.daemon import run_daemon
from asyncmr.streaming.feeds import feed_of
from asyncmr.streaming.http import Address, PushFeed
from asyncmr.streaming.store import StateStore
from tests.streaming.kill_points import Fatal, TwoTransactions, words

JOB = Job(mapper=words, fold=operator.add, partitions=5)


async def main(folder: str, keepers: str, step: str, times: str, mutant: str = "") -> None:
    fatal = Fatal(step, int(times))
    kind = TwoTransactions if mutant else StateStore
    push = PushFeed()
    stream = Stream(
        JOB,
        [feed_of(f"tail:{folder}/log"), feed_of(f"dir:{folder}/files"), push],
        state=f"{folder}/state",
        workers=int(keepers),
        keepers=int(keepers),
        interval=0.01,
        make_store=lambda path, *, durable: kind(path, durable=durable, reach=fatal.reach),
    )
    await run_daemon(
        stream,
        Address.parse("127.0.0.1:0"),
        push=push,
        token=None,
        names=(),
        drain_timeout=10.0,
        started=lambda address: print(f"asyncmr: serving http://{address}/", file=sys.stderr, flush=True),  # noqa: T201
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
