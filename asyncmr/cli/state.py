"""`asyncmr state`: to look into the state of a stream, and to take it from one job, Python or machine to another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

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
    yield line("keys", f"{info.keys:,}" if info.exact else f"at most {info.keys:,} (they are pickles)")
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
