"""Lines of text of which each is parsed as one record, in the worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from asyncmr.kernel.decoding import TextLines
from asyncmr.kernel.failures import UserFailure, excerpt
from asyncmr.protocols import Pair, RecordBatch


class ParsedLines:
    """A decoder. Positions are byte offsets, as those of the lines.

    `raw`: the decoder of the lines. Where a record that cannot be parsed is to be left out, lines are parsed one by one
    in the mapper's place; elsewhere such a line is an error that says where it is.
    """

    __slots__ = ()
    raw: ClassVar[TextLines] = TextLines()
    byte_positions: ClassVar[bool] = True
    keyed: ClassVar[bool] = False
    name: ClassVar[str] = ""

    def parse(self, line: str) -> Pair:
        """The record's key and value.

        Raises:
            ValueError: it is no such record.
        """
        raise NotImplementedError

    def record(self, line: str) -> Pair:
        """The same. Raises a `UserFailure` instead."""
        try:
            return self.parse(line)
        except Exception as error:
            raise UserFailure(
                "decoder",
                f"a line of the input is not {self.name}; correct it, or leave such lines out with "
                'on_error="skip"',
                excerpt=excerpt(line),
            ) from error

    def columns(self, lines: list[str]) -> tuple[list[Any] | None, list[Any]]:
        """The keys and values of lines; no keys where every key is None. Raises as `parse`."""
        pairs = list(map(self.parse, lines))
        keys = [key for key, _ in pairs] if self.keyed else None
        return keys, [value for _, value in pairs]

    def decode(self, data: memoryview, start: int, stop: int, size: int) -> Iterator[RecordBatch]:
        for begin, end, _, lines in self.raw.decode(data, start, stop, size):
            try:
                keys, values = self.columns(lines)
            except Exception:
                self._fail(data, begin, lines)
                raise
            yield RecordBatch(begin, end, keys, values)

    def end(self, data: memoryview) -> int:
        return self.raw.end(data)

    def advance(self, data: memoryview, start: int, records: int) -> int:
        return self.raw.advance(data, start, records)

    def _fail(self, data: memoryview, begin: int, lines: list[str]) -> None:
        """Says which of the lines is the first that cannot be parsed."""
        for index, line in enumerate(lines):
            try:
                self.record(line)
            except UserFailure as failure:
                failure.facts["position"] = self.advance(data, begin, index)
                raise
