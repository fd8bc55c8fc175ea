"""A folder of part files whose job can be resumed: finished parts wait for the commit, also when the process is killed.

They wait in a staging folder inside the output folder whose name is the journal's, `.asyncmr-resume-<token>`, which
no sweep removes. The commit can be killed at any point and begun again: that it has begun is noted in the journal, and
from then on a part is either still staged or already in its place, with the length and the checksum that it had.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import zlib

from asyncmr.connectors.part_files import STAGING, SUCCESS, PartFile, PartFiles
from asyncmr.errors import CorruptRunError, OutputError
from asyncmr.protocols import Encoder
from asyncmr.storage.disk import Disk, translated
from asyncmr.storage.journal import Journal

KEPT = f"{STAGING}resume-"
PUBLISHING = "publishing"

_PART = re.compile(r"part-\d{5,}")
_READ_BYTES = 1 << 20


class JournaledParts(PartFiles):
    """Writes parts as files of `folder`, which must be empty, not be there yet, or be what this journal left there."""

    def __init__(self, folder: str | os.PathLike[str], encoder: Encoder, journal: Journal) -> None:
        super().__init__(folder, encoder)
        self._journal = journal
        self._run = secrets.token_hex(4)  # so that no file of an earlier run is ever appended to

    def fingerprint(self) -> dict[str, str]:
        """The folder and the format."""
        return {"the output folder": repr(self._folder), "the format of the output": repr(self.encoder)}

    async def open(self, disk: Disk) -> None:
        await disk.run(self._journal.note, staging=self._staging_path)
        await super().open(disk)

    def is_complete(self) -> bool:
        """Whether the output is there. It blocks."""
        return os.path.lexists(os.path.join(self._folder, SUCCESS))

    @property
    def _staging_path(self) -> str:
        return os.path.join(self._folder, f"{KEPT}{self._journal.token}")

    def _staging_folder(self) -> _KeptFolder:
        return _KeptFolder(self._staging_path)

    def _part(self, disk: Disk, staging: str, name: str) -> _KeptPart:
        return _KeptPart(disk, os.path.join(staging, f"{name}.{self._run}"))

    async def restored(self, index: int, place: list[object]) -> _KeptPart:
        """The part that an earlier run of the job wrote.

        Raises:
            CorruptRunError: it is not what was written, or gone.
        """
        disk, staging = self._opened()
        name, size, checksum = place
        part = _KeptPart(disk, os.path.join(staging.open(), os.path.basename(str(name))))
        part.written, part.checksum = int(str(size)), int(str(checksum))
        if not await disk.run(self._is_there, index, part):
            raise CorruptRunError(f"the part {part.path!r} is not what was written, or gone", path=part.path)
        return part

    async def abort(self) -> None:
        """Leaves what is finished to the next run of the job; if nothing is, removes what this one made."""
        if (
            self._disk is not None
            and not self._committed
            and not await self._disk.run(self._journal.is_empty)
        ):
            await self._disk.run(self._withdraw)
        else:
            await super().abort()
            if self._disk is not None and not self._committed:
                await self._disk.run(self._journal.note, staging="")

    def _is_there(self, index: int, part: _KeptPart) -> bool:
        """Whether a part is whole where it was staged, or where the commit puts it."""
        if not part.written or _matches(part.path, part):
            return True
        publishing = self._journal.noted(PUBLISHING)
        return bool(publishing) and _matches(self._target(index), part)

    def _is_expected(self, name: str) -> bool:
        if name == os.path.basename(self._staging_path):
            return True
        return bool(self._journal.noted(PUBLISHING)) and (name == SUCCESS or bool(_PART.fullmatch(name)))

    def _publish(self) -> None:
        """Begins the commit, or goes on where an earlier run of the job was killed."""
        self._journal.note(**{PUBLISHING: "yes"})
        expected = {self._target(index) for index in self._parts}
        expected |= {os.path.join(self._folder, SUCCESS), self._staging_path}
        try:
            names = sorted(os.listdir(self._folder))
            foreign = [name for name in names if os.path.join(self._folder, name) not in expected]
        except OSError as error:
            raise translated(error, "commit the output to", self._folder, raises=OutputError) from error
        if foreign:
            raise OutputError(
                f"the output folder {self._folder!r} holds {', '.join(foreign[:3])}, which this job did not make; "
                "remove that, and run the same command again"
            )
        super()._publish()

    def _put(self, target: str, part: PartFile | None) -> None:
        if part is None or not part.written:
            with contextlib.suppress(FileNotFoundError):
                if os.path.getsize(target) == 0:
                    self._visible.append((target, None))
                    return
        elif isinstance(part, _KeptPart) and not os.path.lexists(part.path) and _matches(target, part):
            self._visible.append((target, part.path))
            return
        super()._put(target, part)

    def _take_back(self, target: str, staged: str | None) -> None:
        """A part waits in the staging folder again."""
        if staged is not None:
            os.rename(target, staged)
        else:
            super()._take_back(target, staged)


class _KeptPart(PartFile):
    """An attempt at a part that knows the checksum of what was written."""

    def __init__(self, disk: Disk, path: str) -> None:
        super().__init__(disk, path)
        self.checksum = 0

    async def write(self, data: bytes) -> None:
        await super().write(data)
        self.checksum = await self._disk.run(zlib.crc32, data, self.checksum)

    async def kept(self) -> list[object]:
        """Where it lies, as plain JSON data."""
        return [os.path.basename(self.path), self.written, self.checksum]


class _KeptFolder:
    """A staging folder that stays when its process dies."""

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self) -> str:
        """The folder's path; it is made if it is not there."""
        try:
            os.makedirs(self._path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise translated(
                error, "make a folder for temporary files", self._path, raises=OutputError
            ) from error
        return self._path

    def close(self) -> None:
        """Removes the folder and all that it holds."""
        try:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._path)
        except OSError as error:
            raise translated(error, "remove the temporary folder", self._path, raises=OutputError) from error


def _matches(path: str, part: _KeptPart) -> bool:
    """Whether a file is this part, to the byte."""
    checksum = 0
    try:
        with open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != part.written:
                return False
            while data := file.read(_READ_BYTES):
                checksum = zlib.crc32(data, checksum)
    except OSError:
        return False
    return checksum == part.checksum
