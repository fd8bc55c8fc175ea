"""Runs many seeds, and says what they met; or one, and shows its schedule.

python -m tests.simulation --seeds 100000 --processes 2
python -m tests.simulation --kind stream --seeds 1000
python -m tests.simulation --seed 4711 --trace
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation.run import Outcome, simulate
from tests.simulation.streams.run import simulate_stream
from tests.simulation.verdict import Violation

PORTION = 100
KINDS: dict[str, Callable[[int, Callable[[str], None] | None], Outcome]] = {
    "batch": simulate,
    "stream": simulate_stream,
}


ENDINGS = ("exact", "stopped", "cancelled", "left", "refused", "killed")


class Sums:
    """What some seeds met."""

    def __init__(self) -> None:
        self.runs = 0
        self.jobs: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.again: Counter[str] = Counter()
        self.broken: list[str] = []

    def add(self, other: Sums) -> None:
        self.runs += other.runs
        self.jobs += other.jobs
        self.faults += other.faults
        self.again += other.again
        self.broken += other.broken

    def lines(self, seconds: float) -> Iterator[str]:
        errors = {
            name: count for name, count in self.jobs.items() if name.endswith(("Error", "Died", "Timeout"))
        }
        ended = ", ".join(f"{name} {self.jobs[name]:,}" for name in ENDINGS if self.jobs[name])
        hangs = sum("nothing is left that could happen" in text or "no end" in text for text in self.broken)
        yield f"runs {self.runs:,} in {seconds:.0f} s, {self.runs / max(seconds, 0.001):.0f} a second"
        yield f"faults injected {sum(self.faults.values()):,}: {_listed(self.faults)}"
        yield f"of the jobs that ended well: {_listed(self.again)}"
        yield f"jobs {sum(self.jobs.values()):,}: {ended}"
        yield f"jobs with a typed error {sum(errors.values()):,}: {_listed(errors)}"
        yield f"hangs {hangs}, wrong results, wrong errors and leftovers {len(self.broken) - hangs}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def portion(first: int, count: int, kind: str = "batch") -> Sums:
    """Runs some seeds, one after the other."""
    gc.freeze()  # what is imported need not be looked at after each
    sums = Sums()
    try:
        for seed in range(first, first + count):
            sums.runs += 1
            try:
                outcome = KINDS[kind](seed, None)
            except Violation as violation:
                sums.broken.append(str(violation))
            else:
                sums.jobs.update(outcome.jobs)
                sums.faults.update(outcome.faults)
                sums.again.update(outcome.again)
    finally:
        gc.unfreeze()
    return sums


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--kind", choices=KINDS, default="batch", help="jobs that end, or streams; by default %(default)s"
    )
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=1, help="how many of them at a time")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: its schedule, step by step")
    given = parser.parse_args()
    if given.seed is not None:
        try:
            print(KINDS[given.kind](given.seed, print if given.trace else None))
        except Violation as violation:
            print(violation, file=sys.stderr)
            return 1
        return 0
    began, sums = time.monotonic(), Sums()
    with ProcessPoolExecutor(given.processes) as processes:
        end = given.first + given.seeds
        waiting = [
            processes.submit(portion, first, min(PORTION, end - first), given.kind)
            for first in range(given.first, end, PORTION)
        ]
        for done in as_completed(waiting):
            found = done.result()
            for text in found.broken:
                print(text, file=sys.stderr, flush=True)
            sums.add(found)
    print("\n".join(sums.lines(time.monotonic() - began)))
    return 1 if sums.broken else 0


if __name__ == "__main__":
    sys.exit(main())
