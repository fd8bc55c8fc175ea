"""Sockets that listen: who may connect, and a UNIX socket that a dead process left behind.

All of this blocks for an instant, and belongs in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat

from asyncmr.errors import InputError

_BACKLOG = 512


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to it. A name that is not an address counts as one that others can."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tcp_listener(host: str, port: int) -> socket.socket:
    """A socket that listens there and does not block.

    Raises:
        InputError: the address is taken, unknown or not allowed.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(
            f"could not listen on tcp://{host}:{port}: {host!r} is no address of this machine [{error.strerror}]"
        ) from error
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        return _listening(listener)
    except OSError as error:
        listener.close()
        raise InputError(f"could not listen on tcp://{host}:{port}: {_reason(error)}") from error


def unix_listener(path: str) -> socket.socket:
    """A socket that listens at `path`, for this user only, and does not block.

    A socket that nobody listens to any more is replaced.

    Raises:
        InputError: somebody listens there, or something else has that name, or it cannot be made.
    """
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        # Nobody can connect before it listens, so there is no moment in which others could.
        os.chmod(path, 0o600)
        return _listening(listener)
    except OSError as error:
        listener.close()
        if str(error) == "AF_UNIX path too long":
            reason = "the path is too long for a socket, which has room for 107 bytes; choose a shorter one"
        else:
            reason = _reason(error)
        raise InputError(f"could not listen on the UNIX socket {path!r}: {reason}") from error


def inode_of(path: str) -> tuple[int, int]:
    """Device and inode of what has this name; not of what it links to."""
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def remove_socket(path: str, inode: tuple[int, int]) -> None:
    """Removes our socket, unless another has taken its name since."""
    with contextlib.suppress(FileNotFoundError):
        if inode_of(path) == inode:
            os.unlink(path)


def _remove_stale(path: str) -> None:
    try:
        status = os.lstat(path)
    except OSError:  # nothing there; or bind tells
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise InputError(
            f"could not listen on the UNIX socket {path!r}: a file that is no socket has that name; "
            "remove it, or choose another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        reached = probe.connect_ex(path)
    if reached == errno.ECONNREFUSED:
        remove_socket(path, (status.st_dev, status.st_ino))
    elif reached != errno.ENOENT:
        raise InputError(
            f"could not listen on the UNIX socket {path!r}: another process listens there "
            f"[{os.strerror(reached) if reached else 'it answers'}]; stop it, or choose another path"
        )


def _listening(listener: socket.socket) -> socket.socket:
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _reason(error: OSError) -> str:
    advice = {
        errno.EADDRINUSE: "another process listens there; stop it, or choose another address",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
        errno.EACCES: "this user may not; ports below 1024 are for root",
        errno.ENOENT: "the folder is not there",
    }.get(error.errno or 0)
    return f"{advice} [{error.strerror}]" if advice else str(error.strerror or error)
