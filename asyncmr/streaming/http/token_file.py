"""The file with the token that clients have to know."""

from __future__ import annotations

import os
import stat

from asyncmr.errors import UsageError

_SHORTEST, _LONGEST = 16, 4096


def read_token(path: str) -> bytes:
    """The token in a file: one line of printable ASCII, at least 16 characters. Blocks.

    Raises:
        UsageError: there is none, or others than this user may read it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"could not read the token file {path!r}: {error.strerror}") from None
    try:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            raise UsageError(f"the token file {path!r} is not a file")
        private = _is_credential(path)
        if not private and state.st_uid not in (os.geteuid(), 0):
            raise UsageError(f"the token file {path!r} belongs to another user; it has to belong to this one")
        if not private and state.st_mode & 0o077:
            raise UsageError(f"others may read or write the token file {path!r}; run: chmod 600 {path!r}")
        token = os.read(fd, _LONGEST + 2).strip()
    finally:
        os.close(fd)
    if not _SHORTEST <= len(token) <= _LONGEST:
        raise UsageError(
            f"the token in {path!r} has {len(token):,} characters; it needs {_SHORTEST} to {_LONGEST:,}, as made by: "
            f"(umask 077; openssl rand -hex 32 > {path!r})"
        )
    if any(not 33 <= byte <= 126 for byte in token):
        raise UsageError(
            f"the token in {path!r} has to be one line of printable ASCII characters, without spaces"
        )
    return token


def _is_credential(path: str) -> bool:
    """Whether systemd keeps the file for this service alone; by an access list, which the mode does not show."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and os.path.dirname(os.path.abspath(path)) == os.path.abspath(folder)
