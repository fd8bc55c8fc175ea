"""Named inputs: a step whose records come from several sources, each with a decoder and a mapper of its own.

A split is of one source. Where all of them are small, one split holds what there is of each, section by section, and
its sections are mapped one after the other into the same table, as if they were one.

Every position in a split of several sections is of one of them alone: those of text are byte offsets as ever, and those
of section `n` with another decoder begin at `(n + 1) * 2**48`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from asyncmr.errors import UsageError
from asyncmr.functions import Mapper
from asyncmr.kernel.batching import mapper_for
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.layout import Feed
from asyncmr.kernel.mapping import Work
from asyncmr.kernel.outlets import ChunkOutlet, Item, RunOutlet
from asyncmr.kernel.program import StepProgram, Task, add_blocks
from asyncmr.kernel.several import TAG, Part, Several, number_of, telling
from asyncmr.protocols import Decoder, RecordBatch, Section

_PLACES = 1 << 48


@dataclass(frozen=True, slots=True)
class NamedDecoders:
    """The decoders of named sources, in the order of the job's mappers."""

    names: tuple[str, ...]
    decoders: tuple[Decoder, ...]


def runnable_mapper(mapper: Any, decoder: Any, room: int | None = None) -> Any:
    """The mapper, or each of those with names, as `mapper_for` has it."""
    if not isinstance(mapper, Mapping):
        return mapper_for(mapper, decoder, room)
    decoders = dict(zip(decoder.names, decoder.decoders, strict=True))
    found = {}
    for name, one in mapper.items():
        try:
            found[name] = mapper_for(one, decoders[name], room)
        except UsageError as error:
            raise UsageError(f"the input {name!r}: {error}") from None
    return found


def first_position(number: int, start: int, decoder: Decoder) -> int:
    """The position at which section `number` of several begins, whose bytes begin at `start`."""
    return start if _is_text(decoder) else (number + 1) * _PLACES


def _is_text(decoder: Decoder) -> bool:
    """Whether its positions are byte offsets: it says so, or is a `TextDecoder`.

    To ask `isinstance` of a protocol takes as long as a tenth of a small job.
    """
    return getattr(decoder, "byte_positions", False) or hasattr(decoder, "blocks")


class NamedProgram(StepProgram):
    """A step with a mapper for each of some sources. The tasks that map are those of `named`."""

    def __init__(self, *, mapper: Mapping[str, Mapper], decoder: NamedDecoders, **others: Any) -> None:
        self._names = decoder.names
        self._inputs = [
            StepProgram(mapper=mapper[name], decoder=one, **others)
            for name, one in zip(decoder.names, decoder.decoders, strict=True)
        ]
        super().__init__(mapper=mapper[decoder.names[0]], decoder=decoder.decoders[0], **others)
        self._sections: tuple[Section, ...] = ()

    def named(self, argument: tuple[tuple[Section, ...], str, Any], feed: Feed) -> Task:
        """Another method on a split of these sections. `argument`: they, its name, and its argument."""
        sections, method, own = argument
        if len(sections) > 1:
            several = copy(self)
            several._sections = sections
            return getattr(several, method)(own, feed)  # type: ignore[no-any-return]
        (section,) = sections
        one = copy(self._inputs[section.source])
        one._guarding = self._guarding
        return telling(self._names[section.source], getattr(one, method)(own, feed))

    def _whole(self, data: memoryview) -> Work:
        works = [self._work(data, number) for number in range(len(self._sections))]
        return Several(works)

    def _mapped(self, data: memoryview, start: int, stop: int) -> Work:
        return Several([self._work(data, self._section_of(start), start, stop)])

    def _taken_up(self, blocks: list[memoryview], outlet: RunOutlet | ChunkOutlet) -> Iterator[Item]:
        for number, some in groupby(blocks, key=number_of):
            kind = self._inputs[self._sections[number].source]._mapping
            yield from add_blocks(kind, [block[TAG:] for block in some], outlet)

    def _section_of(self, position: int) -> int:
        if position >= _PLACES:
            return position // _PLACES - 1
        return next(n for n, section in enumerate(self._sections) if section.start <= position < section.stop)

    def _work(self, data: memoryview, number: int, start: int | None = None, stop: int = 0) -> Part:
        """The mapper of a section at work, between two positions; `stop` may also be one of another section."""
        source, first, last = self._sections[number]
        one = copy(self._inputs[source])
        one._guarding = self._guarding
        decoder = one._decoder
        end = last
        if not _is_text(decoder):
            base = first_position(number, first, decoder)
            one._decoder = _Shifted(decoder, base, first, last)
            end = one._decoder.end(data)
            first = base
        begin = first if start is None else start
        if not begin < stop < end:
            stop = end
        return Part(number, one._mapped(data, begin, stop), begin, stop, self._names[source])


@dataclass(frozen=True, slots=True)
class _Shifted:
    """A decoder of `data[first:last]`, at whose beginning the position is `base`."""

    decoder: Decoder
    base: int
    first: int
    last: int

    def decode(self, data: memoryview, start: int, stop: int, size: int) -> Iterator[RecordBatch]:
        base = self.base
        try:
            for piece in self.decoder.decode(data[self.first : self.last], start - base, stop - base, size):
                yield piece._replace(start=piece.start + base, stop=piece.stop + base)
        except UserFailure as failure:  # of a record that is not what its format says
            failure.facts["position"] += base
            raise

    def end(self, data: memoryview) -> int:
        return self.base + self.decoder.end(data[self.first : self.last])

    def advance(self, data: memoryview, start: int, records: int) -> int:
        return self.base + self.decoder.advance(data[self.first : self.last], start - self.base, records)


def program_of(mapper: Mapper | Mapping[str, Mapper], decoder: Any, **others: Any) -> StepProgram:
    """The program of a step with one mapper, or with some that have names."""
    if isinstance(mapper, Mapping):
        return NamedProgram(mapper=mapper, decoder=decoder, **others)
    return StepProgram(mapper=mapper, decoder=decoder, **others)
