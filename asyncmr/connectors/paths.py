"""Which files an input names: paths, globs and folders, and lists of these.

`-` is standard input. A path that exists is itself, also when it looks like a glob. A folder stands for all files
below it. In a glob, `*`, `?` and `[...]` match within a name, and `**` any number of folders.

Order: that of the list, and by name within a glob or folder. Each item of a list stands for itself: a file that
two of them name or match is read twice, and by one glob once.

Names that begin with `.` are passed over as in a shell, unless they are written out or their part of the pattern
begins with a `.`. In a folder those that begin with `_` (such as `_SUCCESS`) are passed over too, as in Hadoop.
Links are followed, and a folder that is reached by several ways is entered once. Nothing else is passed over:
what is found and cannot be read is an error. A pipe that is named itself, such as a shell's
`<(...)`, is read like a file, but once.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from asyncmr.errors import InputError, UsageError
from asyncmr.storage.disk import translated

PathSpec = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

# What the names begin with that a folder, and a glob, passes over.
_HIDDEN_IN_FOLDER = "._"
_HIDDEN_FROM_GLOB = "."

_KINDS = {
    stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device",
}  # fmt: skip

STDIN = "<stdin>"
"""What errors call standard input."""


class FileEntry(NamedTuple):
    """A file as it was when it was listed. `path` is spelled as the user spelled it.

    `pipe`: it can be read only once, and nobody knows how long it is; standard input too.
    """

    path: str
    size: int
    mtime_ns: int
    pipe: bool = False


def resolve(paths: PathSpec) -> list[FileEntry]:
    """The files that `paths` names, in order. It blocks, so call it in a thread.

    Raises:
        InputError: a path does not exist, a glob or folder holds nothing, or something is no readable file.
        UsageError: something is no path at all.
    """
    items = [_text(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    if not all(items) or not items:
        raise InputError(
            "an input path, or the list of them, is empty; name at least one file, glob or folder"
        )
    if items.count("-") > 1:
        raise UsageError("standard input, '-', is named twice, and can be read only once; name it once")
    return [entry for item in items for entry in _files(item)]


def _files(item: str) -> Iterator[FileEntry]:
    if item == "-":
        yield _standard_input()
        return
    status = _status(item)
    if status is None and not _is_glob(item):
        raise InputError(_missing(item))
    if status is not None and not stat.S_ISDIR(status.st_mode):
        if stat.S_ISFIFO(status.st_mode):
            yield FileEntry(item, 0, 0, pipe=True)
        else:
            yield _entry(item, status)
        return
    found = set(_matches(item) if status is None else _below(item))
    if not found:
        raise InputError(_nothing(item, folder=status is not None))
    for path in sorted(found, key=lambda path: path.split(os.sep)):
        status = _status(path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            raise InputError(
                f"the glob {item!r} matches the folder {path!r}; for the files below it, "
                "name the folder itself, or end the glob in '**'"
            )
        yield _entry(path, status)


def _text(path: object) -> str:
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or "\0" in text:
        raise UsageError(
            f"{path!r} is no path; name files as str or pathlib.Path, "
            "and wrap records that are in memory in asyncmr.records(...)"
        )
    return text


def _status(path: str) -> os.stat_result | None:
    """None where there is nothing."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translated(error, "look at the input", path, raises=InputError) from error


def _standard_input() -> FileEntry:
    try:
        os.fstat(0)
    except OSError as error:
        raise InputError("standard input is closed; name a file, or pipe something in") from error
    return FileEntry(STDIN, 0, 0, pipe=True)


def _entry(path: str, status: os.stat_result | None) -> FileEntry:
    if status is None:
        raise InputError(_missing(path))
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
        raise InputError(
            f"the input {path!r} is a {kind}, and only files can be read, and pipes that are named one by one"
        )
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise InputError(f"the input {path!r} may not be read by this user; check its permissions")
    return FileEntry(path, status.st_size, status.st_mtime_ns)


def _below(folder: str) -> Iterator[str]:
    """Every visible file below a folder."""
    return (
        path for path in _expand(folder, ["**", "*"], set(), _HIDDEN_IN_FOLDER) if not os.path.isdir(path)
    )


def _matches(path: str) -> Iterator[str]:
    parts = [part for part in path.split(os.sep) if part]
    if parts[-1] == "**":
        parts.append("*")
    found = _expand(os.sep if path.startswith(os.sep) else "", parts, set(), _HIDDEN_FROM_GLOB)
    if "**" not in parts:
        return found
    # Such a glob matches every folder on its way; their files it finds by themselves.
    return (file for file in found if not os.path.isdir(file))


def _is_glob(part: str) -> bool:
    return any(character in part for character in "*?[")


def _expand(base: str, parts: list[str], seen: set[tuple[str, int]], hidden: str) -> Iterator[str]:
    """Everything below `base` that the parts of a pattern match.

    `seen`: from which folders which `**` went on; once is enough, by whatever links it comes there again.
    `hidden`: what the names begin with that are passed over.
    """
    if not parts:
        yield base
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        place = os.path.realpath(base), len(parts)
        if place in seen:
            return
        seen.add(place)
        yield from _expand(base, rest, seen, hidden)
        for name in _names(base):
            inner = os.path.join(base, name)
            if _visible(name, "", hidden) and os.path.isdir(inner):
                yield from _expand(inner, parts, seen, hidden)
    elif not _is_glob(first):
        if os.path.lexists(path := os.path.join(base, first)):
            yield from _expand(path, rest, seen, hidden)
    else:
        for name in _names(base):
            path = os.path.join(base, name)
            if (
                fnmatchcase(name, first)
                and _visible(name, first, hidden)
                and (not rest or os.path.isdir(path))
            ):
                yield from _expand(path, rest, seen, hidden)


def _names(folder: str) -> list[str]:
    if not os.path.isdir(folder or os.curdir):
        return []
    try:
        return sorted(os.listdir(folder or os.curdir))
    except OSError as error:
        raise translated(error, "list the input folder", folder, raises=InputError) from error


def _visible(name: str, pattern: str, hidden: str) -> bool:
    return name[0] not in hidden or pattern.startswith(name[0])


def _missing(path: str) -> str:
    if os.path.islink(path):
        return f"the input {path!r} is a symbolic link that leads nowhere; restore or remove it"
    if path.startswith("~"):
        return f"there is no file or folder {path!r}; '~' is expanded by shells only, use os.path.expanduser"
    return f"there is no file or folder {path!r}{_place(path)}{_near(path)}"


def _nothing(path: str, *, folder: bool) -> str:
    if folder:
        return f"the input folder {path!r} has no files{_place(path)}; names that begin with '_' or '.' do not count"
    parts = path.split(os.sep)
    fixed = os.sep.join(parts[: next(n for n, part in enumerate(parts) if _is_glob(part))])
    hint = (
        _near(fixed) if fixed and not os.path.lexists(fixed) else "; names that begin with '.' do not count"
    )
    return f"the glob {path!r} matches no file{_place(path)}{hint}"


def _place(path: str) -> str:
    return "" if os.path.isabs(path) else f" in {os.getcwd()!r}"


def _near(path: str) -> str:
    """A hint at names that the user may have meant, in place of the first part of the path that is not there."""
    folder, name = os.path.split(path.rstrip(os.sep))
    while folder and not os.path.lexists(folder):
        folder, name = os.path.split(folder)
    try:
        names = os.listdir(folder or os.curdir)
    except OSError:
        return ""
    near = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(repr(os.path.join(folder, n)) for n in near)}?" if near else ""
