"""What a job bears before it fails."""

from __future__ import annotations

from dataclasses import dataclass

from asyncmr.errors import UsageError


@dataclass(frozen=True, slots=True)
class Tolerance:
    """`retries`: how often a task is tried again whose worker died or was killed. `task_timeout`: the seconds of
    worker time after which it is; `setup_timeout`: those of a job's setup. `backup_tasks`: whether a task that is slow
    is given a rival on an idle worker. `skips`: whether a record or a key on which a function fails is left out, and
    `skip_limit`: how many, or which share of the records; None for any number.

    Raises:
        UsageError: a value that has no meaning.
    """

    retries: int = 3
    task_timeout: float | None = None
    backup_tasks: bool = False
    skips: bool = False
    skip_limit: int | float | None = None
    setup_timeout: float | None = None

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise UsageError(f"retries={self.retries} is less than no retry at all; give 0 or more")
        if self.task_timeout is not None and not self.task_timeout > 0:
            raise UsageError(
                f"task_timeout={self.task_timeout} gives a task no time; give seconds, or None for no limit"
            )
        if self.setup_timeout is not None and not self.setup_timeout > 0:
            raise UsageError(
                f"setup_timeout={self.setup_timeout} gives a setup no time; give seconds, or None for no limit"
            )
        limit = self.skip_limit
        if limit is None:
            return
        if isinstance(limit, bool) or not (limit >= 0 if isinstance(limit, int) else 0 <= limit < 1):
            raise UsageError(
                f"skip_limit={limit!r} is neither a number of records, such as 100, nor a share of them below 1, "
                "such as 0.01"
            )
        if not self.skips:
            raise UsageError(f'skip_limit={limit!r} has a meaning with on_error="skip" only')
