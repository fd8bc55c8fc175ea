"""The seams of the house: the protocols at which parts plug in.

`Source` and `Sink`: where records come from and pairs go to; `Decoder` and `Encoder` are the parts of them that run in
the workers. `Reduction`: what a combiner and a reducer, a fold, or an aggregator compile to. `Aggregator`: the one
of these that users write.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeGuard, runtime_checkable

from asyncmr.typevars import R_co, V_contra

Pair = tuple[Any, Any]


@runtime_checkable
class Aggregator(Protocol[V_contra, R_co]):
    """A monoid with an entrance and an exit: how values of one key become one result.

    `merge` must be associative, with `zero()` as its identity, and `add(acc, value)` must equal
    `merge(acc, add(zero(), value))`. Both may change `acc` in place and must return it.
    `Aggregator[V, R]` makes results of type `R` of values of type `V`.

        class Range:
            def zero(self):
                return None

            def add(self, acc, value):
                return (value, value) if acc is None else (min(acc[0], value), max(acc[1], value))

            def merge(self, left, right):
                if left is None or right is None:
                    return right if left is None else left
                return min(left[0], right[0]), max(left[1], right[1])

            def finish(self, acc):
                return acc[1] - acc[0]

        Job(mapper=temperatures, aggregator=Range())
    """

    def zero(self) -> Any:
        """A fresh accumulator that has seen nothing."""

    def add(self, acc: Any, value: V_contra, /) -> Any:
        """The accumulator after one more value."""

    def merge(self, left: Any, right: Any, /) -> Any:
        """One accumulator for what both have seen, `left` first in input order."""

    def finish(self, acc: Any, /) -> R_co:
        """The result that the key gets."""


class TypeKeeping(Aggregator, Protocol):
    """An aggregator whose results have the type of the values, whatever that is, such as `Sum`."""

    keeps_type: ClassVar[Literal[True]]


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
    """A stretch of one file inside a split: where it lies in the file, and where in the split.

    `offset`: None where the piece is the whole file as one record. `line`: the number of its first line, where the
    file cannot be read again to count, as a pipe. With an empty path: a stretch of records that come from no file.
    """

    path: str
    offset: int | None
    start: int
    line: int | None = None


class Section(NamedTuple):
    """A stretch of a split of named sources: the number of the source, and the bytes between which it lies."""

    source: int
    start: int
    stop: int


@dataclass(slots=True)
class Split:
    """A fixed run of input, the unit of work of a mapper.

    `index` counts from 0. The bytes are `buffer.view[:length]`, or `data` when there is no buffer; the
    source's decoder turns them into records. `pieces` says which files they came from, for errors. `sections` says
    which of some named sources they are of; a source of its own has none.
    """

    index: int
    length: int
    data: bytes = b""
    buffer: Buffer | None = None
    pieces: tuple[Piece, ...] = ()
    sections: tuple[Section, ...] = ()

    def task(self, method: str, argument: Any) -> tuple[str, Any]:
        """How a worker is asked to do `method` of a program on it: by one that knows how it is divided, if it is."""
        return ("named", (self.sections, method, argument)) if self.sections else (method, argument)

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

    def decode(self, data: memoryview, start: int, stop: int, size: int, /) -> Iterator[RecordBatch]:
        """The records in `data[start:stop]`, about `size` bytes of them at a time, but at least one.

        `start` and `stop` are positions as `advance` gives them. Where one piece ends and the next begins
        depends on the data from `start` on alone.
        """

    def end(self, data: memoryview, /) -> int:
        """The position behind the last record."""

    def advance(self, data: memoryview, start: int, records: int, /) -> int:
        """The position `records` records behind the position `start`, or the end."""


@runtime_checkable
class TextDecoder(Decoder, Protocol):
    """A decoder of text, whose lines can also be had as they are. Its positions are byte offsets."""

    def blocks(self, data: memoryview, start: int, stop: int, size: int, /) -> Iterator[tuple[int, int]]:
        """Where the pieces that `decode` makes of the same arguments begin and end."""


@runtime_checkable
class Source(Protocol):
    """Where records come from. The cut into splits must depend on the input alone.

        await asyncmr.collect(job, asyncmr.records(["to be", "or not"]))
        await asyncmr.collect(job, MySource())  # whatever has a decoder, prepare and splits

    A source is read by one job at a time. `prepare` is called once, then `splits`.
    """

    @property
    def decoder(self) -> Decoder:
        """What turns a split into records."""

    async def prepare(self, disk: Any, /) -> SourceInfo:
        """Looks at the input, once, before it is read. `disk` does file I/O off the event loop.

        Raises:
            InputError: when there is no such input.
        """

    def splits(self, buffers: Buffers, /) -> AsyncGenerator[Split, None]:
        """The input, in order: an async generator, which is closed when the job ends early."""


def is_source(thing: object) -> TypeGuard[Source]:
    """`isinstance(thing, Source)`, which before Python 3.12 takes 25 us: a tenth of a small job's time in the host."""
    return hasattr(thing, "decoder") and hasattr(thing, "prepare") and hasattr(thing, "splits")


class PartWriter(Protocol):
    """One attempt at one part of the output; nothing of it is visible before the sink's `commit`."""

    async def write(self, data: bytes, /) -> None:
        """Appends to the part."""

    async def close(self) -> None:
        """The part is complete: what was written is safe, or an error says why not."""

    async def discard(self) -> None:
        """The attempt failed: forget the part."""


class Encoder(Protocol):
    """Turns pairs into the bytes of an output; runs in the workers, so it is pure and can be pickled."""

    def encode(self, keys: list[Any], values: list[Any], /) -> bytes:
        """The bytes of these pairs. Those of two calls, concatenated, are the bytes of all the pairs."""


class Sink(Protocol):
    """Where pairs go to: a folder of part files, a list in memory, or whatever has these methods.

        await sink.open(disk)
        writer = await sink.part(0, 1)
        await writer.write(sink.encoder.encode(["to", "be"], [2, 2]))
        await writer.close()
        await sink.accept(0, writer)
        await sink.commit()

    That is how a job uses it. Of several attempts at a part one is accepted, and nothing shows before `commit`.
    """

    @property
    def encoder(self) -> Encoder:
        """What turns pairs into bytes."""

    async def open(self, disk: Any, /) -> None:
        """Makes ready, once, before the job starts.

        Raises:
            OutputError: when the output cannot be written there.
        """

    async def part(self, index: int, attempt: int, /) -> PartWriter:
        """A writer for one attempt at the part `index`."""

    async def accept(self, index: int, writer: Any, /) -> None:
        """This closed writer is the part `index`: called once for each part, in any order."""

    async def commit(self) -> None:
        """All parts were accepted: makes them visible together."""

    async def abort(self) -> None:
        """The job failed or was cancelled: leaves nothing visible."""


def is_sink(thing: object) -> TypeGuard[Sink]:
    """Whether it has what a `Sink` has."""
    return all(hasattr(thing, name) for name in ("encoder", "open", "part", "accept", "commit", "abort"))


class Sample(NamedTuple):
    """Some records of an input.

    `every`: it is enough to look at one of so many of them. `stretches`: the decoder's positions at which stretches of
    records begin that stand for equally many bytes of the input, however long they are; none where every record
    stands for as many records as the next. `worth`: for how many bytes, or records; by it the samples of several
    sources are compared.
    """

    split: Split
    every: int = 1
    stretches: tuple[int, ...] = ()
    worth: float = 1.0


@runtime_checkable
class Sampled(Protocol):
    """A source of which a few records can be seen before all are read; a job with `sort="total"` asks for them."""

    def samples(self, buffers: Buffers, /) -> AsyncGenerator[Sample, None]:
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
