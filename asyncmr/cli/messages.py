"""What the command line says beside its pairs: log records above the progress bars, and errors in its own words."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import click

_OPTIONS = (
    "workers memory partitions retries task_timeout on_error skip_limit dead_letters verify backup_tasks resume "
    "window timestamp lateness emit retain state interval max_keys keepers"
)
_ARGUMENT = re.compile(rf"\b({'|'.join(_OPTIONS.split())})=(?:\"(\w+)\"|(?=([^\s,;.)])?))")


def in_options(message: str) -> str:
    """An error message with the options of the command line in place of the arguments of Python."""

    def option(found: re.Match[str]) -> str:
        name, word, more = found.groups()
        return f"--{name.replace('_', '-')}{' ' if word or more else ''}{word or ''}"

    return _ARGUMENT.sub(option, message)


class Console(logging.Handler):
    """Writes records to standard error, above the progress bars if there are any."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # What a worker printed is shown as it is; of a log record one wants to know how bad it is, and whose.
        printed = record.name.startswith("asyncmr.worker")
        return text if printed else f"{record.levelname} {record.name}: {text}"

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
            if tqdm is None:
                click.echo(text, err=True)
            else:
                tqdm.write(text, file=sys.stderr)
        except Exception:
            self.handleError(record)


@contextmanager
def log_messages(level: str | None, *, bars: bool) -> Iterator[None]:
    """Shows log records from `level` on, by default warnings; as the job has it, if it has set up logging itself."""
    root = logging.getLogger()
    before, console = root.level, Console()
    if level is not None:
        root.setLevel(level.upper())
    own = bool(root.handlers)
    if not own:
        root.addHandler(console)
    try:
        with _above_bars() if own and bars else nullcontext():
            yield
    finally:
        root.removeHandler(console)
        root.setLevel(before)


@contextmanager
def _above_bars() -> Iterator[None]:
    from tqdm.contrib.logging import logging_redirect_tqdm

    with logging_redirect_tqdm():
        yield
