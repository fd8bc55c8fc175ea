"""Finds the Job that a JOB argument names: `path/to/file.py:job` or `package.module:job`.

A module is imported as `python -m` would, with the current folder on the path; workers import it too.

A file is run under the name `__job__`, as Python runs a script under `__main__`, with the file's folder on
the path. Its functions and classes travel to the workers by value, so a worker needs neither the file nor a
module name for it: a job file may be called `json.py` or `my-job.py`, and may change while the job runs.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from asyncmr.errors import UsageError
from asyncmr.job import Job

JOB_MODULE = "__job__"

_OURS = (str(Path(__file__).parent) + os.sep, importlib.__file__, "<frozen ")


def load_job(spec: str) -> Job:
    """The Job that `spec` names.

    Raises:
        UsageError: the file or module does not exist or fails when imported (the message then holds the
            traceback of the user's own frames), or what `spec` names there is not a Job (the message then
            lists the Jobs that are).
    """
    place, _, name = spec.rpartition(":") if ":" in spec else (spec, "", "")
    if not place:
        raise UsageError(
            f"JOB {spec!r} names no file or module; write path/to/file.py:job or package.module:job"
        )
    if os.path.isfile(place) and not place.endswith(".py"):
        raise UsageError(
            f"JOB comes first, then INPUT..., and {place} is no Python file; "
            "write: asyncmr run path/to/file.py:job INPUT..."
        )
    module = _run_file(place) if place.endswith(".py") or os.sep in place else _import(place)
    missing = object()
    value = getattr(module, name, missing) if name else missing
    if isinstance(value, Job):
        return value
    jobs = sorted(key for key, other in vars(module).items() if isinstance(other, Job))
    found = (
        f"Jobs found there: {', '.join(jobs)}"
        if jobs
        else "No Job was found there; make one at its top level: job = asyncmr.Job(mapper=..., reducer=...)"
    )
    if not name:
        raise UsageError(f"JOB {spec!r} does not say which job of {place}; write {place}:NAME. {found}")
    if value is missing:
        raise UsageError(f"{place} has no {name!r}. {found}")
    kind = type(value).__name__
    article = "an" if kind[0] in "aeiou" else "a"
    raise UsageError(f"{name!r} in {place} is {article} {kind}, not a Job. {found}")


def _run_file(place: str) -> ModuleType:
    """The module made by running the file at `place`."""
    import cloudpickle

    path = Path(place).absolute()
    if not path.is_file():
        raise UsageError(f"there is no job file {place}; JOB is path/to/file.py:job or package.module:job")
    _put_on_path(str(path.parent))
    loader = SourceFileLoader(JOB_MODULE, str(path))
    spec = spec_from_file_location(JOB_MODULE, path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    # Registered before it runs: dataclasses look up the module of their class while they are being made.
    sys.modules[JOB_MODULE] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[JOB_MODULE]
        raise _import_failed(place, error) from error
    cloudpickle.register_pickle_by_value(module)
    return module


def _import(place: str) -> ModuleType:
    """The module named `place`."""
    if not all(part.isidentifier() for part in place.split(".")):
        raise UsageError(
            f"{place!r} is neither a Python file nor the name of a module; "
            "JOB is path/to/file.py:job or package.module:job"
        )
    _put_on_path(os.getcwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{place}.".startswith(f"{error.name}."):
            raise UsageError(
                f"there is no module {error.name!r} in the current folder or among the installed packages; "
                "a file is named by its path: path/to/file.py:job"
            ) from None
        raise _import_failed(place, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(place, error) from error


def _put_on_path(folder: str) -> None:
    """Makes `folder` the first place where imports look, here and in the workers, which copy the path."""
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)


def _import_failed(place: str, error: BaseException) -> UsageError:
    """The error for a `place` that raised `error`, with a traceback of the user's own frames."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_OURS)]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []
    text = "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
    return UsageError(f"{place} could not be imported:\n\n{text}")
