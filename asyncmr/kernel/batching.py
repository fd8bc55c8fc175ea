"""From records to columns: batch functions, each called for many records at a time.

What they return goes on in columns and is never taken apart into pairs. A batch is for them what a record is for
other mappers: what fails is told with its lines, and a split whose batches are slow is given back between two.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

from asyncmr.batches import BatchKind, batch_kind
from asyncmr.errors import UsageError
from asyncmr.functions import Mapper
from asyncmr.kernel.blocks import decode_pairs, encode_pairs
from asyncmr.kernel.failures import UserFailure, name_of
from asyncmr.kernel.mapping import SplitWork
from asyncmr.kernel.outlets import ColumnBatch, Item, Outlet
from asyncmr.kernel.returned import NotColumns, columns_of
from asyncmr.protocols import Decoder, TextDecoder

# A split is given back for others to share when what is left of it takes this long.
_PATIENCE = 4.0
# What one worker then gets at a time.
_SHARE = 1.0
_MOST_SHARES = 1000


def mapper_for(mapper: Mapper, decoder: Decoder, room: int | None = None) -> Mapper:
    """The mapper, or what it names for the case that its form cannot be had of this input, or its memory.

    `room`: the bytes that each worker may take for it, where that is bounded.

    Raises:
        UsageError: it names nothing.
    """
    kind = batch_kind(mapper)
    if kind is None:
        return mapper
    from importlib.util import find_spec

    if kind.form == "bytes" and not isinstance(decoder, TextDecoder):
        lacking = (
            "only lines of text come as bytes; make it a plain batch function, which gets a list of records"
        )
    elif kind.form == "arrow" and find_spec("pyarrow") is None:
        lacking = 'pyarrow is not installed; pip install "asyncmr[arrow]"'
    elif room is not None and kind.memory > room:
        lacking = (
            f"it takes {kind.memory:,} bytes in each worker, for which memory= leaves {room:,}; raise memory="
        )
    else:
        return mapper
    if kind.otherwise is None:
        raise UsageError(
            f"{name_of(mapper)} is a batch({kind.form!r}) function, and {lacking}, or give otherwise="
        )
    return mapper_for(kind.otherwise, decoder, room)


class Input(NamedTuple):
    """What makes a batch, and the positions between which it lies. `raw`: whole lines of text, or the records."""

    start: int
    stop: int
    records: int
    keys: list[Any] | None
    raw: bytes | list[Any]


class Batching(SplitWork):
    """One batch function at work; see `Mapping`, which it stands in for. `counts`: the partials that it returns are
    numbers of pairs."""

    _role = "records"
    _nothing: Any = ([], [])

    def __init__(self, mapper: Mapper, decoder: Decoder, data: memoryview, start: int, stop: int) -> None:
        super().__init__(mapper, decoder, data, start, stop)
        kind = batch_kind(mapper)
        assert kind is not None
        self._kind: BatchKind = kind
        self.counts = False

    def into(self, outlet: Outlet) -> Iterator[Item]:
        """Takes all batches into `outlet`; gives the items that are complete."""
        for given, batch in self._mapped():
            yield from self.taken(given, batch, outlet)

    @staticmethod
    def taken(given: Input, batch: ColumnBatch, outlet: Outlet) -> Iterator[Item]:
        """Takes one batch into `outlet`; gives the items that are complete."""
        try:
            yield from outlet.add_columns(batch)
        except UserFailure as failure:
            if failure.facts["role"] == "mapper":
                failure.facts.update(_place(given))
            raise

    def encoded(self) -> Iterator[bytes]:
        """The batches as blocks."""
        for _, batch in self._mapped():
            yield _encoded(batch)

    def encoded_rest(self) -> bytes:
        """Nothing is left between two batches."""
        return _encoded(ColumnBatch([], []))

    @staticmethod
    def regrouped(shares: list[memoryview]) -> Iterator[ColumnBatch]:
        """The batches of blocks that `encoded` made."""
        for share in shares:
            yield ColumnBatch(*decode_pairs(share[1:]), partial=bool(share[0]))

    def _mapped(self) -> Iterator[tuple[Input, ColumnBatch]]:
        began, first = perf_counter(), self._start
        for number, given in enumerate(self._inputs()):
            batch = self._call(given)
            self.records += given.records
            self.pairs += self._pairs(batch)
            yield given, batch
            if number == 0:  # it may have paid for an import
                began, first = perf_counter(), given.stop
            elif not self.patient:
                took = perf_counter() - began
                if took * (self._stop - given.stop) > _PATIENCE * (given.stop - first):
                    cuts = self._cuts(given.stop, max(1, round(_SHARE * number / took)))
                    if len(cuts) > 2:
                        self.left = cuts
                        return

    def _pairs(self, batch: ColumnBatch) -> int:
        """How many pairs a batch stands for."""
        if self.counts and batch.partial and set(map(type, batch.values)) == {int}:
            return sum(batch.values)
        return len(batch.keys)

    def _inputs(self) -> Iterator[Input]:
        form, data, decoder = self._kind.form, self._data, self._decoder
        if form == "records" or not isinstance(decoder, TextDecoder):
            for piece in decoder.decode(data, self._start, self._stop, self._kind.size):
                yield Input(piece.start, piece.stop, len(piece.values), piece.keys, piece.values)
            return
        for start, stop in decoder.blocks(data, self._start, self._stop, self._kind.size):
            # A copy: views of what the host writes to again must not outlive the task.
            block = bytes(data[start:stop])
            yield Input(start, stop, block.count(b"\n") + (not block.endswith(b"\n")), None, block)

    def _shaped(self, given: Input) -> tuple[list[Any] | None, Any]:
        """The arguments of the function."""
        if self._kind.form != "arrow":
            return given.keys, given.raw
        if isinstance(given.raw, bytes):
            return None, _lines(given.raw)
        from asyncmr.arrow import table_of_records

        try:
            return None, table_of_records(given.keys, given.raw)
        except Exception as error:
            message = f"the records for {name_of(self._mapper)} make no Arrow columns; ask for a list of them"
            raise UserFailure("mapper", message, **_place(given)) from error

    def _rows(self, given: Input) -> list[Any]:
        """The records of a batch; lines as bytes, each with its newline."""
        if not isinstance(given.raw, bytes):
            return given.raw
        lines = given.raw.removesuffix(b"\n").split(b"\n")
        return [line + b"\n" for line in lines]

    def _only(self, given: Input, rows: list[Any], indexes: list[int]) -> Input:
        """A batch of some of its records."""
        raw = [rows[index] for index in indexes]
        keys = None if given.keys is None else [given.keys[index] for index in indexes]
        return Input(
            given.start,
            given.stop,
            len(raw),
            keys,
            b"".join(raw) if isinstance(given.raw, bytes) else raw,
        )

    def _call(self, given: Input) -> ColumnBatch:
        arguments = self._shaped(given)
        try:
            returned = self._mapper(*arguments)
        except BaseException as error:
            message = f"{name_of(self._mapper)} raised {type(error).__name__}"
            raise UserFailure("mapper", message, **_place(given)) from error
        try:
            return columns_of(returned)
        except NotColumns as error:
            raise UserFailure(
                "mapper", f"{name_of(self._mapper)} {error}", **_place(given)
            ) from error.__cause__

    def _cuts(self, start: int, share: int) -> list[int]:
        """The positions of every `share`-th batch from `start` on, or of fewer, and the end."""
        decoder, size = self._decoder, self._kind.size
        if isinstance(decoder, TextDecoder):
            starts = [begin for begin, _ in decoder.blocks(self._data, start, self._stop, size)]
        else:
            starts = [batch.start for batch in decoder.decode(self._data, start, self._stop, size)]
        return [*starts[:: max(share, -(-len(starts) // _MOST_SHARES))], self._stop]


def _lines(block: bytes) -> Any:
    from asyncmr.arrow import table_of_lines

    return table_of_lines(block)


def _place(given: Input) -> dict[str, int]:
    return {"position": given.start, "last": given.stop - 1}


def _encoded(batch: ColumnBatch) -> bytes:
    return bytes([batch.partial]) + encode_pairs(batch.keys, batch.values)
