"""Which files of a folder have been read: eight bytes for each, in buckets, so that a commit writes one bucket.

A file is known by its name and inode. A bucket is what a folder's partitions are.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

BUCKETS = 64
_SIZE = 8


def file_id(name: str, inode: int) -> bytes:
    """What a file is remembered by."""
    return blake2b(b"%d/%b" % (inode, name.encode(errors="surrogateescape")), digest_size=_SIZE).digest()


def bucket_of(identity: bytes) -> str:
    """The partition that a file is of."""
    return str(identity[0] % BUCKETS)


def files_done(positions: Mapping[str, Any]) -> int:
    """How many files have been read to their ends."""
    return sum(len(position["done"]) * 3 // 4 // _SIZE for position in positions.values())


class DoneFiles:
    """The files that have been read, and how far those have been that were begun.

    `folder`: the inode of the folder. What is not in it any more is forgotten, but not when another folder has its
    name, as when a disk is not mounted.
    """

    def __init__(self, positions: Mapping[str, Any], folder: int) -> None:
        self._folder = folder
        self._done: dict[str, set[bytes]] = {}
        self._begun: dict[str, dict[bytes, int]] = {}
        self._folders: dict[str, int] = {}
        for bucket, position in positions.items():
            data = b64decode(position["done"])
            self._done[bucket] = {data[at : at + _SIZE] for at in range(0, len(data), _SIZE)}
            self._begun[bucket] = {bytes.fromhex(name): offset for name, offset in position["begun"].items()}
            self._folders[bucket] = position["folder"]

    def __contains__(self, identity: bytes) -> bool:
        return identity in self._done.get(bucket_of(identity), ())

    def offset(self, identity: bytes) -> int:
        """How far a file has been read."""
        return self._begun.get(bucket_of(identity), {}).get(identity, 0)

    def read_to(self, identity: bytes, offset: int) -> None:
        """A file has been read so far."""
        self._begun.setdefault(bucket_of(identity), {})[identity] = offset

    def finish(self, identity: bytes) -> None:
        """A file has been read to its end."""
        bucket = bucket_of(identity)
        self._done.setdefault(bucket, set()).add(identity)
        self._begun.get(bucket, {}).pop(identity, None)

    def keep_only(self, present: set[bytes], folder: int) -> None:
        """Forgets what is not in the folder any more."""
        for bucket in {*self._done, *self._begun}:
            if self._folders.setdefault(bucket, self._folder) == folder:
                self._done.get(bucket, set()).intersection_update(present)
                begun = self._begun.get(bucket, {})
                for identity in begun.keys() - present:
                    del begun[identity]

    def position(self, identity: bytes) -> tuple[str, dict[str, Any]]:
        """The partition of a file, and its position."""
        bucket = bucket_of(identity)
        return bucket, {
            "folder": self._folders.setdefault(bucket, self._folder),
            "done": b64encode(b"".join(sorted(self._done.get(bucket, ())))).decode(),
            "begun": {name.hex(): offset for name, offset in sorted(self._begun.get(bucket, {}).items())},
        }
