"""What user functions leave behind for a test to see, from whichever process they run in."""

from __future__ import annotations

import os
from pathlib import Path

from tests.workers.talking import until


class Trail:
    """A folder of marks. It can be part of a job's functions; `marks` grows by a byte at every `mark`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = str(folder)

    def mark(self, kind: str = ".") -> None:
        """Adds one mark of this kind; `kind` is a single letter."""
        file = os.open(f"{self._folder}/marks", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, kind.encode())
        finally:
            os.close(file)

    def marks(self, kind: str = "") -> int:
        """How many marks there are, of this kind or of all."""
        try:
            return Path(self._folder, "marks").read_text().count(kind) if kind else self._size()
        except FileNotFoundError:
            return 0

    async def reach(self, marks: int) -> None:
        """Waits until there are so many."""
        await until(lambda: self.marks() >= marks, 30)

    def _size(self) -> int:
        return os.stat(f"{self._folder}/marks").st_size

    def first(self, name: object = "") -> bool:
        """Whether this is the first call with this name, in any process."""
        try:
            os.close(os.open(f"{self._folder}/first-{name}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def clear(self) -> None:
        """Forgets all marks."""
        Path(self._folder, "marks").unlink(missing_ok=True)


def work(turns: int = 20_000) -> int:
    """Keeps a processor busy, for a good half of a millisecond by default."""
    return sum(range(turns))
