"""What a job bears before it fails."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """`retries`: how often a task is tried again whose worker died or was killed. `task_timeout`: the seconds of
    worker time after which it is. `backup_tasks`: whether a task that is slow is given a rival on an idle worker.
    """

    retries: int = 3
    task_timeout: float | None = None
    backup_tasks: bool = False
