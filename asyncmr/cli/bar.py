"""The progress bar of one stage."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from asyncmr.progress import StageProgress

if TYPE_CHECKING:
    Bar = tqdm[Any]
else:
    Bar = tqdm


class StageBar(Bar):
    """Shows what a snapshot says: its rate in place of one that is guessed from how often the bar is drawn."""

    def __init__(self, stage: StageProgress, position: int) -> None:
        self._rate: float | None = None
        self._took: float | None = None
        self._began = monotonic()
        in_bytes = stage.unit == "B"
        super().__init__(
            desc=stage.name,
            total=stage.total,
            unit="B" if in_bytes else f" {stage.unit}",
            unit_scale=in_bytes,
            position=position,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    @property
    def format_dict(self) -> dict[str, Any]:
        figures = dict(super().format_dict)
        figures["rate"] = self._rate
        if self._took is not None:  # a stage that is finished keeps its time, and with it its rate
            figures["elapsed"] = self._took
        return figures

    def show(self, stage: StageProgress, *more: str) -> None:
        """Draws the stage as it is now; `more` is said behind it."""
        self.total, self.n, self._rate = stage.total, stage.done, stage.rate
        if stage.done != stage.total:
            self._took = None
        elif self._took is None:
            self._took = monotonic() - self._began
        tasks = {
            "running": stage.running,
            "waiting": stage.waiting,
            "tried again": stage.retries,
            "skipped": stage.skipped,
        }
        notes = [f"{number:,} {what}" for what, number in tasks.items() if number]
        self.set_postfix_str(", ".join([*notes, *more]), refresh=False)
        self.refresh()
