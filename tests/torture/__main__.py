"""`python -m tests.torture`: the torture test for as long as one likes, and what came of it."""

from __future__ import annotations

import argparse
import gc
import os
import random
import shutil
import sys
import tempfile
import time
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import open_things
from tests.torture.arena import arena
from tests.torture.machine import SETTINGS, machine_of
from tests.torture.tally import Tally

GRACE_SECONDS = 5.0
OPTIONS: list[dict[str, Any]] = [
    {},
    {"backup_tasks": True},
    {"on_error": "skip"},
    {"workers": 1},
    {"workers": 4, "backup_tasks": True, "on_error": "skip"},
]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/torture", description="Jobs and faults at random, on real processes."
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="go on for so long (default: 1)")
    parser.add_argument("--faults", type=int, help="end when so many faults were injected")
    parser.add_argument("--seed", type=int, help="which jobs and faults (default: drawn)")
    chosen = parser.parse_args()
    first = random.randrange(10**6) if chosen.seed is None else chosen.seed
    tally, end = Tally(), time.monotonic() + 60 * chosen.minutes
    folder = Path(tempfile.mkdtemp(prefix="amr-torture-"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    # After multiprocessing has removed its own folder in there, at priority -100 when the interpreter ends.
    Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-200)
    number = first
    try:
        while time.monotonic() < end and not (chosen.faults and tally.faults.total() >= chosen.faults):
            if not one_round(folder, tally, number):
                return 1
            print(f"seed {number}: {tally.jobs:,} jobs, {tally.faults.total():,} faults", file=sys.stderr)
            number += 1
    finally:
        print(f"seeds {first} to {number - 1}\n{tally}")
    return 1 if tally.hangs or tally.leftovers else 0


def one_round(folder: Path, tally: Tally, number: int) -> bool:
    """Some runs on one engine, which must leave nothing; whether all was well."""
    before = open_things().keys()
    place = folder / f"round{number}"
    place.mkdir()
    rules = settings(SETTINGS, max_examples=10, stateful_step_count=25)
    with arena(place, tally, **OPTIONS[number % len(OPTIONS)]) as (where, runner):
        try:
            run_state_machine_as_test(seed(number)(machine_of(where, runner)), settings=rules)
        except BaseException as failure:
            print(f"seed {number} failed after these steps:", *where.story, sep="\n  ", file=sys.stderr)
            raise where.failure or failure from None  # Hypothesis may have tried it again, in vain
    shutil.rmtree(place)
    shutil.rmtree(folder / f"round{number}-trail")
    deadline = time.monotonic() + GRACE_SECONDS
    while left := {thing: text for thing, text in open_things().items() if thing not in before}:
        if time.monotonic() > deadline:
            tally.leftovers += left.values()
            return False
        gc.collect()
        time.sleep(0.01)
    return True


if __name__ == "__main__":
    sys.exit(main())
