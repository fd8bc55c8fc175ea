"""What the INPUT arguments name: paths, or, for a job with a mapper for each of its inputs, NAME=PATH."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncmr.errors import UsageError
from asyncmr.job import Job


def inputs_of(job: Job, arguments: Sequence[str]) -> list[str] | dict[str, list[str]]:
    """The paths, or the paths of each name; a name may be given several times.

    Raises:
        UsageError: the job has named mappers, and an argument has none of these names; or two of them are `-`.
    """
    mapper = job.steps[0].mapper
    if not isinstance(mapper, Mapping):
        return list(arguments)
    found: dict[str, list[str]] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or not path or name not in mapper:
            wanted = " ".join(f"{known}=PATH" for known in mapper)
            raise UsageError(
                f"INPUT {argument!r}: job {job.title!r} has a mapper for each of its inputs; "
                f"name them: {wanted}"
            )
        found.setdefault(name, []).append(path)
    if sum(paths.count("-") for paths in found.values()) > 1:
        raise UsageError("standard input can be read once, so only one INPUT can be -")
    return found
