"""Which deaths of workers were the kernel's doing, because memory ran out."""

from __future__ import annotations

import threading

from asyncmr.cgroups import out_of_memory_kills


class MemoryKills:
    """The kernel's count of such kills, set against the workers that were killed. For any thread; it reads files."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen = out_of_memory_kills()
        self._unexplained = 0  # kills that no worker's death was put down to yet

    def explain(self) -> bool | None:
        """Whether a worker that was killed just now was killed for that; None where the kernel does not say.

        Each kill explains one death: of two workers that die at once both are explained if both were killed so.
        """
        with self._guard:
            count = out_of_memory_kills()
            if count is None or self._seen is None:
                return None
            self._unexplained += max(0, count - self._seen)
            self._seen = count
            if not self._unexplained:
                return False
            self._unexplained -= 1
            return True
