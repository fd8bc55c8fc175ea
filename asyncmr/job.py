"""What a job is: frozen descriptions, and the protocols at which parts plug in.

A `Job` describes; it does nothing. Its chain of `Step`s is what engines run. What varies plugs in at four
seams: `Source` and `Sink` (where records come from and pairs go to), `Reduction` (what a combiner and a
reducer, a fold, or an aggregator compile to), and `Backend` (where the steps run).
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from asyncmr.errors import UsageError

Pair = tuple[Any, Any]
Mapper = Callable[[Any, Any], Iterable[Pair]]
Combiner = Callable[[Any, Iterator[Any]], Iterable[Pair]]
Reducer = Callable[[Any, Iterator[Any]], Iterable[Pair]]
Fold = Callable[[Any, Any], Any]
Partitioner = Callable[[Any, int], int]

MAX_PARTITIONS = 65_536


@runtime_checkable
class Aggregator(Protocol):
    """A monoid with an entrance and an exit: how values of one key become one result.

    `merge` must be associative, with `zero()` as its identity, and `add(acc, value)` must equal
    `merge(acc, add(zero(), value))`. Both may change `acc` in place and must return it.
    """

    def zero(self) -> Any:
        """A fresh accumulator that has seen nothing."""

    def add(self, acc: Any, value: Any) -> Any:
        """The accumulator after one more value."""

    def merge(self, left: Any, right: Any) -> Any:
        """One accumulator for what both have seen, `left` first in input order."""

    def finish(self, acc: Any) -> Any:
        """The result that the key gets."""


@dataclass(frozen=True, slots=True)
class Step:
    """One map, and the shuffle and reduce behind it, if any."""

    name: str
    mapper: Mapper
    combiner: Combiner | None
    reducer: Reducer | None
    fold: Fold | None
    aggregator: Aggregator | None
    partitions: int | None
    partitioner: Partitioner | None
    sort: bool | Literal["total"]
    commutative: bool

    @property
    def reduces(self) -> bool:
        """Whether the values of a key become results; otherwise pairs pass as they are."""
        return self.reducer is not None or self.fold is not None or self.aggregator is not None

    @property
    def shuffles(self) -> bool:
        """Whether pairs move to where their key belongs; otherwise the step only maps."""
        moved = self.partitions is not None or self.partitioner is not None or bool(self.sort)
        return self.reduces or moved

    @property
    def total_order(self) -> bool:
        """Whether the partitions are ranges of keys, one behind the other."""
        return self.sort == "total"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A MapReduce job: what to do with each record, and with the values of each key.

        Job(mapper=words, combiner=total, reducer=total)
        Job(mapper=words, fold=operator.add)
        Job(mapper=words, aggregator=asyncmr.Sum())
        Job(mapper=words)                                   # only maps
        Job(mapper=by_date, sort="total")                   # sorts

    `mapper(key, value)` yields pairs, or returns an iterable of them. A text line arrives as `(None, line)`.
    `reducer(key, values)` gets an iterator over the key's values, in input order, and yields pairs.
    `combiner(key, values)` has the reducer's form, yields the key it was given, and may run any number of
    times, also not at all, on values in input order. `fold(a, b)` must be associative; it is combiner and
    reducer at once. An `aggregator` is the same with its own accumulator (see `Aggregator`).
    `partitions`: how many parts the output has; by default it follows from the size of the input.
    `partitioner(key, partitions)` gives a key's part; by default parts are ranges of the key's hash.
    `sort`: True for keys in order within each part, "total" for keys in order through all parts, so that the parts,
    one behind the other, are sorted. Without it keys come in the order of their hash.
    `commutative`: that the order of a key's values does not matter to what reduces them, which `Engine(verify=...)` and
    `asyncmr.testing.check_reducer` then check as well. The values come in input order all the same.
    `name`: what reports and errors call the job.

    With `partitions`, `partitioner` or `sort`, and nothing that reduces, all pairs of the mapper pass, those of
    equal keys in input order. For `sort="total"` the keys are divided into ranges by a look at a sample of the
    input: the mapper runs once more on some of the records, whose user counters do not count. Equal keys share a
    part, however many they are.

    Functions may be lambdas and closures. They run in worker processes, one record at a time, and should not
    change what they are given. An engine takes a job as it is when it first runs it: globals of a script or
    variables of a closure that change later are seen by a new Job.

    Raises:
        UsageError: when the combination of arguments has no meaning.
    """

    mapper: Mapper
    combiner: Combiner | None = None
    reducer: Reducer | None = None
    fold: Fold | None = None
    aggregator: Aggregator | None = None
    partitions: int | None = None
    partitioner: Partitioner | None = None
    sort: bool | Literal["total"] = False
    commutative: bool = False
    name: str = ""
    before: Job | None = None

    def __post_init__(self) -> None:
        self._check_functions()
        ways = [way for way in ("reducer", "fold", "aggregator") if getattr(self, way) is not None]
        if len(ways) > 1:
            raise UsageError(
                f"a Job takes one of reducer, fold and aggregator; this one has {' and '.join(ways)}"
            )
        if self.combiner is not None and self.reducer is None:
            raise UsageError(
                "a combiner needs a reducer; with fold or aggregator leave it out, they combine by themselves"
            )
        if self.commutative and not ways:
            raise UsageError(
                "commutative=True is said of a reducer, fold or aggregator, and this Job has none; leave it out"
            )
        if self.sort not in (False, True, "total"):
            raise UsageError(f'sort={self.sort!r} is none of False, True and "total"')
        if self.sort == "total" and self.partitioner is not None:
            raise UsageError(
                'sort="total" gives each part a range of the keys, so there is nothing for a partitioner to decide; '
                "leave it out, or use sort=True for keys in order within the parts that it makes"
            )
        if self.aggregator is not None and not isinstance(self.aggregator, Aggregator):
            raise UsageError(
                f"aggregator={self.aggregator!r} has no zero, add, merge and finish; "
                "pass an instance such as asyncmr.Sum()"
            )
        if self.partitions is not None and not 1 <= self.partitions <= MAX_PARTITIONS:
            raise UsageError(f"partitions={self.partitions} is not between 1 and {MAX_PARTITIONS}")

    def _check_functions(self) -> None:
        for role in ("mapper", "combiner", "reducer", "fold", "partitioner"):
            function = getattr(self, role)
            if function is None and role != "mapper":
                continue
            if not callable(function):
                raise UsageError(f"{role}={function!r} cannot be called; pass a function")
            called = function if inspect.isroutine(function) else type(function).__call__
            if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
                raise UsageError(
                    f"{role}={function!r} is asynchronous; it would run in a worker process, which has no "
                    "event loop: pass a plain function or generator"
                )

    def then(self, following: Job) -> Job:
        """A job of both: the pairs that this one gives are what the mapper of `following` gets."""
        if not isinstance(following, Job):
            raise UsageError(f"then() takes a Job, not {type(following).__name__}")
        before = self if following.before is None else self.then(following.before)
        return replace(following, before=before)

    def replace(self, **changes: Any) -> Job:
        """A copy of this job with some arguments changed; of a chain, those of the last step."""
        return replace(self, **changes)

    @cached_property
    def title(self) -> str:
        """The job's name, or one made from its last mapper's."""
        return self.name or _name_of(self.mapper)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the chain, first to last."""
        earlier = self.before.steps if self.before is not None else ()
        step = Step(
            name=self.title,
            mapper=self.mapper,
            combiner=self.combiner,
            reducer=self.reducer,
            fold=self.fold,
            aggregator=self.aggregator,
            partitions=self.partitions,
            partitioner=self.partitioner,
            sort=self.sort,
            commutative=self.commutative,
        )
        return (*earlier, step)


def _name_of(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


class Buffer(Protocol):
    """Memory that a source fills: shared with the workers where the machine allows."""

    @property
    def view(self) -> memoryview:
        """The memory, writable; valid until `release` or `grow`."""

    async def grow(self, size: int) -> None:
        """Makes the memory at least `size` bytes long, keeping what it holds."""

    def release(self) -> None:
        """Gives the memory back; it must not be touched afterwards."""


class Buffers(Protocol):
    """Where a source gets its buffers; waits while all of them are in use."""

    async def lease(self, size: int) -> Buffer:
        """A buffer of at least `size` bytes."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one file inside a split: where it lies in the file, and where in the split."""

    path: str
    offset: int
    start: int


@dataclass(slots=True)
class Split:
    """A fixed run of input, the unit of work of a mapper.

    `index` counts from 0. The bytes are `buffer.view[:length]`, or `data` when there is no buffer; the
    source's decoder turns them into records. `pieces` says which files they came from, for errors.
    """

    index: int
    length: int
    data: bytes = b""
    buffer: Buffer | None = None
    pieces: tuple[Piece, ...] = ()

    def release(self) -> None:
        """Gives its buffer back, if it has one."""
        if self.buffer is not None:
            self.buffer.release()


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of an input before it is read.

    `bytes`: its size, or None. `divided`: it makes several splits even if it is small. `sampled`: the source is a
    `Sampled`; where it is none, a job with `sort="total"` stores the records first.
    """

    bytes: int | None
    divided: bool = False
    sampled: bool = False


class RecordBatch(NamedTuple):
    """Consecutive records of a split, from the position `start` to `stop`. `keys`: None when every key is None."""

    start: int
    stop: int
    keys: list[Any] | None
    values: list[Any]


class Decoder(Protocol):
    """Turns the bytes of a split into records; runs in the workers, so it is pure and can be pickled."""

    def decode(self, data: memoryview, start: int, stop: int, size: int) -> Iterator[RecordBatch]:
        """The records in `data[start:stop]`, about `size` bytes of them at a time, but at least one.

        `start` and `stop` are positions as `advance` gives them. Where one piece ends and the next begins
        depends on the data from `start` on alone.
        """

    def end(self, data: memoryview) -> int:
        """The position behind the last record."""

    def advance(self, data: memoryview, start: int, records: int) -> int:
        """The position `records` records behind the position `start`, or the end."""


@runtime_checkable
class TextDecoder(Decoder, Protocol):
    """A decoder of text, whose lines can also be had as they are. Its positions are byte offsets."""

    def blocks(self, data: memoryview, start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
        """Where the pieces that `decode` makes of the same arguments begin and end."""


@runtime_checkable
class Source(Protocol):
    """Where records come from. The cut into splits must depend on the input alone."""

    @property
    def decoder(self) -> Decoder:
        """What turns a split into records."""

    async def prepare(self, disk: Any) -> SourceInfo:
        """Looks at the input, once, before it is read. `disk` does file I/O off the event loop.

        Raises:
            InputError: when there is no such input.
        """

    def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
        """The input, in order: an async generator, which is closed when the job ends early."""


class PartWriter(Protocol):
    """One attempt at one part of the output; nothing of it is visible before the sink's `commit`."""

    async def write(self, data: bytes) -> None:
        """Appends to the part."""

    async def close(self) -> None:
        """The part is complete: what was written is safe, or an error says why not."""

    async def discard(self) -> None:
        """The attempt failed: forget the part."""


class Encoder(Protocol):
    """Turns pairs into the bytes of an output; runs in the workers, so it is pure and can be pickled."""

    def encode(self, keys: list[Any], values: list[Any]) -> bytes:
        """The bytes of these pairs. Those of two calls, concatenated, are the bytes of all the pairs."""


class Sink(Protocol):
    """Where pairs go to."""

    @property
    def encoder(self) -> Encoder:
        """What turns pairs into bytes."""

    async def open(self, disk: Any) -> None:
        """Makes ready, once, before the job starts.

        Raises:
            OutputError: when the output cannot be written there.
        """

    async def part(self, index: int, attempt: int) -> PartWriter:
        """A writer for one attempt at the part `index`."""

    async def accept(self, index: int, writer: Any) -> None:
        """This closed writer is the part `index`: called once for each part, in any order."""

    async def commit(self) -> None:
        """All parts were accepted: makes them visible together."""

    async def abort(self) -> None:
        """The job failed or was cancelled: leaves nothing visible."""


class Sample(NamedTuple):
    """Some records of an input.

    `every`: it is enough to look at one of so many of them. `stretches`: the decoder's positions at which stretches of
    records begin that stand for equally many bytes of the input, however long they are; none where every record
    stands for as many records as the next.
    """

    split: Split
    every: int = 1
    stretches: tuple[int, ...] = ()


@runtime_checkable
class Sampled(Protocol):
    """A source of which a few records can be seen before all are read; a job with `sort="total"` asks for them."""

    def samples(self, buffers: Buffers) -> AsyncGenerator[Sample, None]:
        """Records from all over the prepared input, as many for each byte of it, as an async generator.

        Which they are depends on the input alone. They are about 1/64 of it, but some megabytes at most, in some
        samples that can be looked at in parallel. The buffers belong to whoever takes them.
        """


@runtime_checkable
class Fingerprinted(Protocol):
    """A source, or a sink, that can say what it is; a job with `resume` asks for it.

    Such a source gives the same splits in every run, and such a sink has `restored`, and writers with `kept`.
    """

    def fingerprint(self) -> dict[str, str]:
        """What tells the prepared input, or the output, from every other: names in words, each with its value."""


class Columns(Protocol):
    """Consecutive pairs of a run, key by key; `counts` says how many values each has, None: one each."""

    @property
    def keys(self) -> list[Any]:
        """The keys."""

    @property
    def values(self) -> list[Any]:
        """The values of all keys, one key's behind the other's."""

    @property
    def counts(self) -> list[int] | None:
        """How many values each key has."""


class Reduction(Protocol):
    """How the values of a key become its results; what runs in the workers behind the map.

    A table maps a key to whatever the reduction keeps for it, in the order in which keys first appeared. (Where pairs
    pass as they are it is two columns, and all it has of a dict is its length and `clear`.)
    Partials are what moves between workers, as columns.
    """

    @property
    def combines(self) -> bool:
        """Whether the partials of a key can be merged before the last one has arrived."""

    @property
    def folds(self) -> bool:
        """Whether a table keeps one accumulator for a key, rather than all its values."""

    @property
    def finishes(self) -> bool:
        """Whether `results` makes something of what a table keeps for a key; otherwise that is the result."""

    @property
    def passes(self) -> bool:
        """Whether pairs pass as they are: `results` and `stream` are not called."""

    def table(self) -> Any:
        """An empty table."""

    def absorb(self, table: Any, pairs: list[Pair]) -> None:
        """Takes a batch of the mapper's pairs into the table."""

    def absorb_columns(self, table: Any, columns: Columns) -> None:
        """Takes a batch of keys and values, one for each, into the table."""

    def gather(self, table: Any, run: Columns) -> None:
        """Takes partials into the table. Called in input order."""

    def partials(self, table: Any) -> tuple[list[Any], list[Any], list[int] | None]:
        """The table as columns of keys, values and counts, combined."""

    def snapshot(self, table: Any) -> tuple[list[Any], list[Any], list[int] | None]:
        """The table as columns from which `gather` makes the same table again."""

    def condense(self, table: Any) -> None:
        """Makes the table as small as combining can."""

    def results(self, keys: list[Any], table: Any) -> Iterator[Pair]:
        """The results of whole keys, in the order of `keys`."""

    def stream(self, runs: Iterator[Any]) -> Iterator[Pair]:
        """The results of keys whose partials, `Columns`, arrive bit by bit; all have the same place."""


class Backend(Protocol):
    """Where the steps of a job run."""

    async def execute(self, job: Job, source: Source, sink: Sink, *, progress: Any = None) -> Any:
        """Runs the job from the source to the sink and returns its `Report`."""
