"""The keyword arguments of the shortcuts, for type checkers: those of `Engine` and of its method of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from asyncmr.connectors.sources import Path
    from asyncmr.progress import ProgressCallback


class EngineOptions(TypedDict, total=False):
    """What `Engine` takes."""

    workers: int | None
    memory: int | str | None
    share: float
    retries: int
    task_timeout: float | None
    setup_timeout: float | None
    backup_tasks: bool
    verify: float
    on_error: Literal["fail", "skip"]
    skip_limit: int | float | None
    spill_dir: Path | None
    spill_compression: Literal["none", "lz4", "zstd"]
    executor: Literal["process", "thread", "inline"]
    hash_key: int | None


class CollectOptions(EngineOptions, total=False):
    """What `collect` and `stream` take."""

    progress: ProgressCallback | None
    dead_letters: Path | None


class RunOptions(CollectOptions, total=False):
    """What `run` takes, and `start` with an output."""

    format: str
    resume: Path | None
