"""Every exception of asyncmr, in families that a caller can catch.

`AsyncMRError` is the root. Below it: what the caller asked for cannot be done (`UsageError`), the input or
the output is not as it should be (`InputError`, `OutputError`), the user's own function failed
(`UserCodeError`), a worker process failed (`WorkerError`), or the place where data waits failed
(`StorageError`). Every exception carries its facts as attributes beside its message.
"""

from __future__ import annotations

from typing import Any


class AsyncMRError(Exception):
    """The root of every exception that asyncmr raises on purpose.

        try:
            await asyncmr.run(job, "books/", "counts")
        except asyncmr.AsyncMRError as error:
            sys.exit(str(error))

    Cancelling raises `asyncio.CancelledError`, as everywhere.
    """


class UsageError(AsyncMRError, ValueError):
    """An argument that cannot work; the message says which and what would.

        Job(mapper=words, combiner=total)  # a combiner needs a reducer

    It is a ValueError, too.
    """


class ResumeError(UsageError):
    """A journal that a job cannot go on with: it is of another job, input or version, or in use.

        await asyncmr.run(job, "books/", "counts", resume="journal")
        await asyncmr.run(job, "more-books/", "counts", resume="journal")  # another input: name another folder

    `path`: its folder. `differences`: what is not as it was, each with what it was and is.
    """

    def __init__(self, message: str, *, path: str = "", differences: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.path = path
        self.differences = differences


class ClosedError(AsyncMRError, RuntimeError):
    """Something was used after it was closed, or before it was opened.

        engine = asyncmr.Engine()
        await engine.collect(job, "books/")  # use it in `async with asyncmr.Engine() as engine:`

    A job that still runs when its engine is left ends with it, too. It is a RuntimeError as well.
    """


class JobCancelled(AsyncMRError):
    """The job was cancelled, by `cancel()` or because the block of its `start` was left.

    Whoever waits for a job is told so by this error, since its own task is not cancelled: a `CancelledError` is raised
    only where that is. `job`: its name.

        async with asyncmr.start(job, "books/", "counts") as running:
            running.cancel()
            try:
                await running
            except asyncmr.JobCancelled as error:
                print(error.job, "was cancelled")
    """

    def __init__(self, message: str, *, job: str = "") -> None:
        super().__init__(message)
        self.job = job


class InputError(AsyncMRError):
    """The input is missing, unreadable, or matches nothing.

        await asyncmr.collect(job, "boks/*.txt")  # the message says which names are like this one

    Nothing has been read or written then, unless a file went away while the job ran.
    """


class CorruptInputError(InputError):
    """A compressed input is damaged, cut short, or not compressed at all.

        await asyncmr.run(job, "logs/half-copied.gz", "out")

    `path`: the file. `offset`: about how many of its bytes had been read.
    """

    def __init__(self, message: str, *, path: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset


class _Placed(AsyncMRError):
    """An error that knows where in which job, and at which record, it was met; `UserCodeError` says how."""

    def __init__(
        self,
        message: str,
        *,
        job: str = "",
        stage: str = "",
        exception: str = "",
        path: str | None = None,
        line: int | None = None,
        record: int | None = None,
        last_line: int | None = None,
        last_record: int | None = None,
        excerpt: str | None = None,
    ) -> None:
        super().__init__(message)
        self.job = job
        self.stage = stage
        self.exception = exception
        self.path = path
        self.line = line
        self.record = record
        self.last_line = last_line
        self.last_record = last_record
        self.excerpt = excerpt


class RecordError(_Placed, InputError):
    """A record of the input is not what its format says, e.g. a line that is no JSON.

        await asyncmr.run(job, asyncmr.json_lines("logs/"), "out")  # of which line 3 of one file is cut off

    `job`, `stage`, `path`, `line`, `record`, `excerpt`, `exception`, `last_line`, `last_record`: as a `UserCodeError`
    has them. With `on_error="skip"` such a record is left out, as one on which the mapper raises.
    """


class OutputError(AsyncMRError):
    """The output folder cannot be used, or could not be written.

        await asyncmr.run(job, "books/", "/home")  # which is not empty

    Nothing of the output is visible.
    """


class FormatError(OutputError):
    """A pair cannot be written in the format of the output, e.g. bytes as JSON.

        job = asyncmr.Job(mapper=lambda _, line: [(line, line.encode())])
        await asyncmr.run(job, "books/", "out", format="jsonl")

    `key`: the beginning of its `repr`.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.facts = {"role": "encoder", "message": message, "key": key}  # what a worker sends of it


class KeyTypeError(AsyncMRError, TypeError):
    """A key has no value that is the same in every process, so it cannot be shuffled.

    Keys may be str, bytes, numbers, None, bool, tuples, frozensets, enums, dates, UUIDs and frozen
    dataclasses of these, or any type registered with `asyncmr.register_key_type`.

        yield user, 1  # an object of a class of yours
        yield user.name, 1  # what identifies it
    """


class UserCodeError(_Placed):
    """A function that the user handed over raised, or returned something that is not a pair.

        try:
            await asyncmr.run(job, "logs/", "out")
        except asyncmr.UserCodeError as error:
            print(error.exception, "in", error.path, "line", error.line, error.excerpt)

    `job`, `stage`: where it ran. `path`, `line`: the file and the 1-based line number, or None where the
    record did not come from a text file; in a stream, of lines that are in no file, the feed with the batch, and the
    number of the line therein. `record`: the 0-based index of the record in its split, or None.
    `last_line`, `last_record`: where a batch function raised, those of the last record of the batch, else None.
    `excerpt`: the beginning of the record's or key's `repr`. `exception`: the exception's type name.
    The worker's own traceback is the text of `__cause__`; of an async function, that is the exception itself.
    """


class MapperError(UserCodeError):
    """A mapper raised, or gave what is no pair.

        def numbers(_key, line):
            yield "sum", int(line)  # ValueError for a line that is no number

    `Engine(on_error="skip")` leaves such records out.
    """


class CombinerError(UserCodeError):
    """A combiner raised, or yielded a key other than the one that it was given.

        def shrink(word, counts):
            yield word.lower(), sum(counts)  # belongs into the mapper

    Whether it runs at all is the engine's choice.
    """


class ReducerError(UserCodeError):
    """A reducer, fold or aggregator raised.

        def mean(key, values):
            values = list(values)
            yield key, sum(values) / (len(values) - 1)  # ZeroDivisionError where there is one value

    `excerpt` is the key's. `Engine(on_error="skip")` leaves the results of such keys out.
    """


class SetupError(UserCodeError):
    """A job's setup raised.

        job = Job(mapper=stems, fold=operator.add, setup=lambda: load("model.bin"))  # which is not there
        await asyncmr.run(job, "books/", "out")

    It is not tried again, and `on_error="skip"` has nothing to leave out.
    """


class OperatorError(UserCodeError, AssertionError):
    """A combiner, reducer, fold or aggregator gives two results for the same values.

        job = Job(mapper=numbers, fold=operator.sub)  # (5 - 3) - 2 is not 5 - (3 - 2)
        await asyncmr.collect(job, "numbers.txt", verify=0.01)

    Raised where somebody looks for that: by `asyncmr.testing.check_reducer`, and by `Engine(verify=...)`, with `job`
    and `stage`. An AssertionError too, so that test runners show it as a failure.

    `law`: which one it breaks: "associative", "commutative", "repeatable", "keeps its key",
    "leaves its values alone" or "neutral zero".
    `key`, `values`: the beginning of the `repr` of the key, and of each value, in order. `groupings`: two ways to
    reduce these values, where what is combined first is in parentheses. `results`: what came of the one and the other.
    """

    def __init__(
        self,
        message: str,
        *,
        law: str = "",
        key: str = "",
        values: tuple[str, ...] = (),
        groupings: tuple[str, str] = ("", ""),
        results: tuple[str, str] = ("", ""),
        **where: Any,
    ) -> None:
        super().__init__(message, **where)
        self.law = law
        self.key = key
        self.values = values
        self.groupings = groupings
        self.results = results


class PartitionerError(UserCodeError):
    """A partitioner raised, or returned something that is not a partition number.

        Job(mapper=words, reducer=total, partitioner=lambda key, partitions: len(key))  # len(key) % partitions

    The numbers go from 0 to `partitions - 1`.
    """


class SkipLimitError(UserCodeError):
    """More records and keys were skipped than `skip_limit` allows.

        await asyncmr.run(job, "logs/", "out", on_error="skip", skip_limit=0.01, dead_letters="bad.jsonl")

    `skipped`: how many when that was noticed. `limit`: the limit. The other facts, and the cause, are those of the
    first that was skipped, which `record` does not number.
    """

    def __init__(self, message: str, *, skipped: int = 0, limit: float = 0, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.skipped = skipped
        self.limit = limit


class RemoteTraceback(Exception):
    """The traceback of a worker, as text; only ever the `__cause__` of another exception."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}" if self.args else ""


class WorkerError(AsyncMRError):
    """A worker process failed, not the function that it ran.

        try:
            await asyncmr.run(job, "books/", "counts", resume="journal")
        except asyncmr.WorkerError:
            ...  # the same call goes on where this one ended

    One of `WorkerDied`, `TaskTimeout` and `PoolStartError`.
    """


class WorkerDied(WorkerError):
    """A worker died while it ran a task, and the retries are used up.

        try:
            await asyncmr.run(job, "images/", "out", retries=5)
        except asyncmr.WorkerDied as error:
            print(error.task, "ended with", error.exitcode)

    `exitcode`: as `multiprocessing.Process.exitcode`, negative for a signal; None where nobody knows.
    """

    def __init__(
        self,
        message: str,
        *,
        exitcode: int | None = None,
        job: str = "",
        stage: str = "",
        task: str = "",
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self.exitcode = exitcode
        self.job = job
        self.stage = stage
        self.task = task
        self.attempts = attempts


class TaskTimeout(WorkerError):
    """A task ran longer than `task_timeout` seconds, and the retries are used up.

        try:
            await asyncmr.run(job, "pages/", "out", task_timeout=60)
        except asyncmr.TaskTimeout as error:
            print(error.task, "took more than", error.seconds, "s,", error.attempts, "times")

    `job`, `stage`, `task`: which it was.
    """

    def __init__(
        self,
        message: str,
        *,
        seconds: float = 0.0,
        job: str = "",
        stage: str = "",
        task: str = "",
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.job = job
        self.stage = stage
        self.task = task
        self.attempts = attempts


class PoolStartError(WorkerError):
    """The worker processes could not be started.

        async with asyncmr.Engine(workers=2) as engine:
            await engine.collect(job, "books/")  # fails with what a worker wrote before it ended

    A worker imports the script of its host first; what raises there keeps it from starting.
    """


class MainGuardError(PoolStartError):
    """The script starts its job at import time, so its workers would start it again without end.

        if __name__ == "__main__":  # without this line
            asyncio.run(main())

    Every worker imports the script, under another name.
    """


class StorageError(AsyncMRError):
    """Data that waits outside memory could not be written or read.

        await asyncmr.run(job, "books/", "counts", spill_dir="/large/disk")  # where there is room for what waits

    `path`: the file. `size`: the bytes that were to be written or read.
    """

    def __init__(self, message: str, *, path: str = "", size: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.size = size


class CorruptRunError(StorageError):
    """A piece of a spill file is not what was written: its checksum differs, or it is cut short.

        try:
            await asyncmr.run(job, "books/", "counts", resume="journal")
        except asyncmr.CorruptRunError as error:
            print("look after the disk of", error.path)  # the same call does that work again

    There is never a wrong result instead.
    """


class MemoryBudgetError(AsyncMRError):
    """The memory budget is too small to work with, or more than the process may have; the message says how much.

        asyncmr.Engine(workers=8, memory="256 MiB")  # eight workers need 688 MiB

    It is raised before anything is started.
    """


class PushFull(AsyncMRError):
    """A `PushFeed` has no room for more lines until its stream has committed some of those that wait.

        try:
            await lines.push(data, token="request 1")
        except asyncmr.PushFull:
            ...  # nothing was taken: again in a moment

    `held`, `capacity`: in bytes.
    """

    def __init__(self, message: str, *, held: int = 0, capacity: int = 0) -> None:
        super().__init__(message)
        self.held = held
        self.capacity = capacity


class TokenReused(UsageError):
    """A token that stands for lines that were pushed before comes with other lines. Nothing was taken.

        await lines.push(b"to be\\n", token="request 1")
        await lines.push(b"or not\\n", token="request 1")  # would not be counted

    `token`: which it is.
    """

    def __init__(self, message: str, *, token: str = "") -> None:
        super().__init__(message)
        self.token = token
