"""What a journal belongs to: everything that decides the bytes of a job's output, and of the blocks on the way there.

Not the number of workers, nor their memory: a result does not depend on them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from hashlib import blake2b
from importlib import import_module

from asyncmr.errors import UsageError
from asyncmr.job import Job, Step
from asyncmr.kernel.description import digest
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.pipeline.limits import Limits
from asyncmr.protocols import Fingerprinted, Sink, Source
from asyncmr.storage.compression import Codec

_ROLES = ("mapper", "combiner", "reducer", "fold", "aggregator", "partitioner", "setup")
_CODE = "code "
PYTHON = "the version of Python"
_MOST_TOLD = 5


def fingerprint(
    job: Job,
    source: Source,
    sink: Sink,
    *,
    limits: Limits,
    hasher: KeyHasher,
    codec: Codec | None,
    skips: bool,
    letters: bool,
) -> dict[str, str]:
    """What a journal belongs to, in words: each with its value. The source is prepared.

    Raises:
        UsageError: the source or the sink does not say what it is.
    """
    sizes = asdict(limits)
    del sizes["shuffle"]
    found = {
        "the version of asyncmr": import_module("asyncmr").__version__,
        **encoding(hasher),
        "the compression of blocks": "none" if codec is None else type(codec).__name__.lower(),
        "the sizes that the stages work with": json.dumps(sizes),
        "on_error": "skip" if skips else "fail",
        "dead letters": "are written" if letters else "are not written",
        **described(job),
    }
    for end in (source, sink):
        if not isinstance(end, Fingerprinted):
            raise UsageError(
                f"a job with resume= must be able to tell its input from others when it is run again, and "
                f"{type(end).__name__} has no fingerprint(); read from files, or give the source that method"
            )
        found |= end.fingerprint()
    return found


def encoding(hasher: KeyHasher) -> dict[str, str]:
    """What decides how blocks are read, and to which partition a key belongs."""
    return {
        PYTHON: f"{sys.implementation.cache_tag}, {sys.byteorder}-endian",
        "the key of the hash": blake2b(repr(hasher.__reduce__()[1]).encode(), digest_size=8).hexdigest(),
    }


def described(job: Job) -> dict[str, str]:
    """A job: its steps and their functions."""
    found = {
        "the job": job.title,
        "the number of steps": str(len(job.steps)),
    }
    for number, step in enumerate(job.steps, 1):
        of = f" of step {number}" if len(job.steps) > 1 else ""
        for role, function in _functions(step):
            found[f"the {role}{of}"] = "none" if function is None else f"{_CODE}{_code(function)}"
        found[f"partitions{of}"] = str(step.partitions)
        found[f"sort{of}"] = str(step.sort)
    return found


def _functions(step: Step) -> Iterator[tuple[str, object]]:
    for role in _ROLES:
        function = getattr(step, role)
        if isinstance(function, Mapping):
            for name, one in function.items():
                yield f"{role} of the input {name!r}", one
        else:
            yield role, function


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is not as it was, in words."""
    found = []
    for name in dict.fromkeys([*before, *now]):
        was, is_now = before.get(name), now.get(name)
        if was != is_now:
            found.append(_difference(name, was, is_now))
    if len(found) > _MOST_TOLD:
        found[_MOST_TOLD:] = [f"{len(found) - _MOST_TOLD} more things differ"]
    return found


def _difference(name: str, was: str | None, is_now: str | None) -> str:
    if was is None:
        return f"{name} is new"
    if is_now is None:
        return f"{name} is gone"
    before, after = _told(was), _told(is_now)
    return (
        f"{name} {after} has changed since" if before == after else f"{name} was {before} and is {after} now"
    )


def _told(value: str) -> str:
    """A function by its name alone."""
    return repr(value.removeprefix(_CODE).rpartition(" ")[0]) if value.startswith(_CODE) else value


def _code(function: object) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{name} {digest(function)}"
