"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, TypeVar

from asyncmr.errors import UsageError
from asyncmr.sizes import parse_size
from benchmarks import memory, peers
from benchmarks.backpressure import backpressure
from benchmarks.cgroups import NoCgroup
from benchmarks.comparison import compare, tell
from benchmarks.day import SECONDS, day
from benchmarks.freshness import freshness
from benchmarks.growth import MEMORY, SIZES, growth
from benchmarks.hostloop import host_loop
from benchmarks.running import ROOT, TIMEOUT
from benchmarks.stragglers import stragglers
from benchmarks.table import MIB
from benchmarks.workloads import WORKLOADS

WORKS = (*WORKLOADS, "W7", "W9")
_GB = 1_000_000_000
_T = TypeVar("_T")


class Study(Protocol):
    """What a study found; as text it is Markdown."""

    def as_dict(self) -> dict[str, Any]:
        """The same, ready for JSON."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the studies that are asked for. Status 1: some output was wrong, or a study cannot be made here."""
    options = _parser().parse_args(arguments)
    options.data.mkdir(parents=True, exist_ok=True)
    found: list[Study] = []
    print(f"{machine()}\n")
    try:
        for study in _studies(options):
            found.append(study)
            print(f"{study}\n", flush=True)
    except NoCgroup as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        _write(options, found)
    return int(any("wrong output" in str(study) for study in found))


def _studies(options: argparse.Namespace) -> Iterator[Study]:
    common = {"data": options.data, "workers": options.workers, "timeout": options.timeout}
    if options.memory:
        study = memory.study(
            options.jobs,
            [name for name in options.peers or memory.PEERS if name in memory.PEERS],
            options.limits,
            size=options.size or _GB,
            cgroup_parent=options.cgroup_parent,
            **common,
        )
        if options.plot:
            options.plot.write_text(study.svg(), encoding="utf-8")
        yield study
    if options.cgroup:
        yield memory.contained(
            options.jobs,
            options.cgroup,
            size=options.size or _GB,
            memory=options.engine_memory,
            cgroup_parent=options.cgroup_parent,
            **common,
        )
    if options.growth:
        yield growth(options.growth, rounds=options.rounds, memory=options.engine_memory or MEMORY, **common)
    if options.stragglers:
        yield stragglers(
            data=options.data,
            size=options.size or 100_000_000,
            rounds=options.rounds,
            workers=options.workers,
        )
    if options.day:
        sized = {} if options.size is None else {"size": options.size}
        yield day(data=options.data, seconds=options.day, workers=options.workers, **sized)
    if options.backpressure:
        limit = {} if options.engine_memory is None else {"memory": options.engine_memory}
        yield backpressure(data=options.data, workers=options.workers, **limit)
    studies = ("memory", "cgroup", "growth", "stragglers", "day", "backpressure")
    chosen = any(getattr(options, name) for name in studies)
    if not chosen or options.workloads:
        yield from _workloads(options, common)


def _workloads(options: argparse.Namespace, common: dict[str, Any]) -> Iterator[Study]:
    names = options.peers or peers.NAMES
    for name in names:
        if absent := peers.missing(peers.peer(name)):
            tell(f"left out: {name}, for want of {', '.join(absent)}")
    size = options.size or 100_000_000
    for work in options.workloads or WORKS:
        if work == "W7":
            yield host_loop(
                data=options.data,
                size=size,
                rounds=options.rounds,
                workers=options.workers,
                memory=options.engine_memory,
            )
        elif work == "W9":
            yield freshness(data=options.data, rounds=options.rounds, workers=options.workers)
        else:
            yield compare(
                work,
                names,
                size=size,
                rounds=options.rounds,
                base=options.base,
                memory=options.engine_memory,
                **common,
            )


def machine() -> str:
    """What the figures were taken on."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(
            (line.split(":")[1].strip() for line in lines if line.startswith("model name")), processor
        )
    installed = ", ".join(f"{name} {number}" for name, number in _versions())
    return (
        f"{date.today()}, asyncmr {_commit()}, CPython {platform.python_version()}, Linux {platform.release()}, "
        f"{len(os.sched_getaffinity(0))} CPUs ({processor}). {installed}"
    ).strip()


def _versions() -> Iterator[tuple[str, str]]:
    distributions = {"pymapreduce": "pymapreduce-core"}
    for module in dict.fromkeys(module for name in peers.NAMES for module in peers.peer(name).modules):
        with suppress(PackageNotFoundError):
            yield module, version(distributions.get(module, module))


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return "(no repository)"


def _write(options: argparse.Namespace, found: Sequence[Study]) -> None:
    if options.json:
        record = {"machine": machine(), "studies": [study.as_dict() for study in found]}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        text = "\n\n".join([machine(), *map(str, found)])
        options.markdown.write_text(text + "\n", encoding="utf-8")


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _list_of(convert: Callable[[str], _T], choices: Sequence[_T] = ()) -> Callable[[str], list[_T]]:
    def parsed(text: str) -> list[_T]:
        found = [convert(word) for word in text.split(",")]
        for one in found:
            if choices and one not in choices:
                raise argparse.ArgumentTypeError(f"{one} is none of {', '.join(map(str, choices))}")
        return found

    return parsed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures asyncmr beside what a user would pick instead, interleaved in one run.",
        epilog=f"Contenders: {', '.join(peers.NAMES)}. Those that are not installed are left out and named. "
        "docs/benchmark.md says how to read the figures.",
    )
    add = parser.add_argument
    add("--workloads", type=_list_of(str, WORKS), help=f"of {','.join(WORKS)}; all by default")
    add("--peers", type=_list_of(str, peers.NAMES), help="contenders, by name; all by default")
    add("--size", type=_size, help="of the input; 100MB by default, 1GB for --memory and --cgroup")
    add("--rounds", type=int, default=3, help="how often each contender runs (default: 3)")
    add("--workers", type=int, default=2, help="processes of each contender (default: 2)")
    add("--base", choices=peers.NAMES, help="what ratios are to (default: a process pool by hand)")
    add("--engine-memory", type=_size, metavar="SIZE", help="the memory that contenders are told to use")
    add("--timeout", type=float, default=TIMEOUT, help=f"seconds for one run (default: {TIMEOUT:.0f})")
    add(
        "--data",
        type=Path,
        default=Path(tempfile.gettempdir(), "bench-data"),
        help="folder where inputs are kept and outputs written (default: bench-data in the temporary folder)",
    )
    add("--json", type=Path, metavar="FILE", help="write every run to FILE")
    add("--markdown", type=Path, metavar="FILE", help="write the tables to FILE")
    limits = ",".join(f"{limit // MIB}MiB" for limit in memory.LIMITS)
    add("--memory", action="store_true", help="time against memory, beside duckdb, polars and GNU sort")
    add(
        "--limits",
        type=_list_of(_size),
        default=memory.LIMITS,
        metavar="SIZES",
        help=f"of --memory; {limits}",
    )
    add("--plot", type=Path, metavar="FILE", help="write the plot of --memory to FILE, as SVG")
    add("--jobs", type=_list_of(str, memory.JOBS), default=memory.JOBS, help=f"of {','.join(memory.JOBS)}")
    add("--cgroup", type=_size, metavar="SIZE", help="run the jobs by the command line in a memory cgroup")
    add("--cgroup-parent", type=Path, metavar="DIR", help="where to make cgroups (default: the root)")
    add(
        "--growth",
        type=_list_of(_size),
        nargs="?",
        const=list(SIZES),
        metavar="SIZES",
        help="cost for each MB of a job that spills, over inputs of 400MB,4GB",
    )
    add(
        "--day",
        type=float,
        nargs="?",
        const=SECONDS,
        metavar="SECONDS",
        help=f"what a stream holds after each of 24 hours, which pass in so many seconds (default: {SECONDS:.0f})",
    )
    add("--stragglers", action="store_true", help="what backup tasks save where one worker is slow")
    add("--backpressure", action="store_true", help="the memory of a stream behind what is slow")
    return parser
