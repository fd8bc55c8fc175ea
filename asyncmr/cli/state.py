"""`asyncmr state`: to look into the state of a stream, and to take it from one job, Python or machine to another."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from asyncmr.cli.job_spec import load_job
from asyncmr.cli.standard_streams import standard_output
from asyncmr.cli.termination import terminable
from asyncmr.errors import OutputError, UsageError

if TYPE_CHECKING:
    from asyncmr.streaming import StateInfo

# So many windows, and partitions of a feed, are shown.
_SHOWN = 10
# What a job does not have.
_UNSAID = ("none", "None", "False")


@click.group()
def state() -> None:
    """Look into the state of `asyncmr serve --state DIR`, or take it elsewhere.

    \b
    Exit status:
      0    done
      1    the state or the file is damaged, or could not be written
      2    the command line is wrong, or there is no such state; nothing was done
    """


@state.command()
@click.argument("folder", metavar="DIR", envvar="ASYNCMR_STATE")
@click.option("--json", "as_json", is_flag=True, help="All of it, as one JSON object.")
def inspect(folder: str, as_json: bool) -> None:
    """Show of what job a state is, how far it has come, and what it holds.

    It may be in use: what is shown is its last commit. No code of the job is run, and no pickle is opened. DIR may be
    given as ASYNCMR_STATE, too.
    """
    from asyncmr.streaming import inspect_state

    info = inspect_state(folder)
    click.echo(
        json.dumps(info.as_dict(), indent=2, ensure_ascii=False) if as_json else "\n".join(_lines(info))
    )


@state.command()
@click.argument("folder", metavar="DIR", envvar="ASYNCMR_STATE")
@click.option(
    "-o", "--output", metavar="FILE", help="Write to FILE, which must be new.  [default: standard output]"
)
@click.option(
    "--job",
    metavar="JOB",
    envvar="ASYNCMR_JOB",
    help="The job whose state it is; needed if keys or accumulators are of classes of its module.",
)
def export(folder: str, output: str | None, job: str | None) -> int:
    """Write a state as JSON lines: how far it has come, and then each key with what is kept for it, in order.

    It may be in use: what is written is its last commit, so this is how to back up a state while it runs. Types are
    kept: {"$tuple": [1, 2]}. Equal states are equal files.

    \b
    For example:
      asyncmr state export counts -o counts.jsonl
      asyncmr state export counts | zstd > counts.jsonl.zst
    """
    from asyncmr.streaming import export_state

    with standard_output() as descriptor, terminable():
        if job is not None:
            load_job(job)
        try:
            if output is not None:
                done = export_state(folder, output)
            elif descriptor < 0:
                raise UsageError("standard output is closed; name a file with -o")
            else:
                with open(descriptor, "wb", closefd=False) as out:
                    done = export_state(folder, out)
        except BrokenPipeError:
            return 141
        except OSError as error:
            raise OutputError(f"standard output could not be written: {error.strerror}") from error
    click.echo(f"asyncmr: exported {done.keys:,} keys as of epoch {done.epoch:,}", err=True)
    return 0


@state.command("import")
@click.argument("file", metavar="FILE")
@click.option(
    "--state",
    "folder",
    metavar="DIR",
    required=True,
    envvar="ASYNCMR_STATE",
    help="The folder to make; it must not be there yet.",
)
@click.option(
    "--job",
    metavar="JOB",
    default="asyncmr.jobs:wordcount",
    show_default=True,
    envvar="ASYNCMR_JOB",
    help="The job that will go on with it: path/to/file.py:job or package.module:job.",
)
@click.option(
    "--window",
    metavar="WINDOW",
    envvar="ASYNCMR_WINDOW",
    help="Its windows, as for `asyncmr serve`: those that were exported, or others of the same panes.",
)
@click.option("--timestamp", metavar="WHERE", envvar="ASYNCMR_TIMESTAMP", help="As for `asyncmr serve`.")
def import_(file: str, folder: str, job: str, window: str | None, timestamp: str | None) -> int:
    """Make a new state of what was exported: after a change of the job or of its partitions, or for another Python.

    FILE is what `asyncmr state export` wrote, or - for standard input. A daemon with the new state goes on exactly
    where the old one was: end the old one before you export. Nothing in FILE is run or unpickled.

    \b
    For example:
      asyncmr state export counts -o counts.jsonl
      asyncmr state import counts.jsonl --state counts-2 --job words.py:job
    """
    from asyncmr.streaming import import_state
    from asyncmr.streaming.windowing import Windowing

    with standard_output(), terminable():
        windowing = Windowing.of(window or "none", timestamp=timestamp)
        source = sys.stdin.buffer if file == "-" else file
        done = import_state(source, folder, load_job(job), window=windowing)
    click.echo(f"asyncmr: imported {done.keys:,} keys as of epoch {done.epoch:,} into {folder}", err=True)
    for difference in done.differences:
        click.echo(f"asyncmr: other than before: {difference}", err=True)
    return 0


def _lines(info: StateInfo) -> Iterator[str]:
    from asyncmr.streaming.identity import WINDOWS

    identity = info.identity
    width = max(map(len, [*identity, "2026-11-21 22:40:00 UTC"])) + 2

    def line(name: str, text: str) -> str:
        return f"{name:{width}}{text}"

    yield line("state", info.path)
    for name, value in identity.items():
        if value not in _UNSAID or name == WINDOWS:
            yield line(name, value.removeprefix("code "))
    yield ""
    yield line("last epoch", f"{info.epoch:,}, committed {_moment(info.committed_at)}")
    yield line("read", f"{info.records:,} records, {_bytes(info.bytes)}")
    keys = f"{info.keys:,}" if info.exact else f"at most {info.keys:,} (they are pickles)"
    yield line("keys", f"{keys}, {info.cold_keys:,} of them cold" if info.cold_keys else keys)
    yield line(
        "on disk",
        f"{_bytes(info.disk_bytes)}: {_bytes(info.table_bytes)} tables, {_bytes(info.delta_bytes)} deltas, "
        f"{_bytes(info.aside_bytes)} set aside",
    )
    for reason, lines in info.aside.items():
        yield line(f"set aside, {reason}", f"{lines:,} lines")
    for name, value in info.notes.items():
        if name == "time":
            yield line(
                "watermark", _moment(None if value["watermark"] is None else value["watermark"] / 1000)
            )
        else:
            yield line(name, json.dumps(value, ensure_ascii=False))
    for feed in sorted({*info.positions, *info.tokens}):
        yield ""
        yield feed
        yield from _cut([f"  {at}" for at in _positions(info.positions.get(feed, {}))], "partitions")
        if feed in info.tokens:
            yield f"  {info.tokens[feed]:,} idempotency keys are remembered"
    if info.windows and info.windows[0].start is not None:
        yield ""
        yield line("window", "keys")
        found = [line(_moment(window.start), f"{window.keys:,}") for window in reversed(info.windows)]
        yield from _cut(found, "windows before")


def _positions(positions: Mapping[str, Any]) -> list[str]:
    return [f"{partition}: {json.dumps(at, ensure_ascii=False)}" for partition, at in positions.items()]


def _cut(lines: list[str], what: str) -> list[str]:
    if len(lines) <= _SHOWN + 1:
        return lines
    return [*lines[:_SHOWN], f"  and {len(lines) - _SHOWN:,} more {what}"]


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"
