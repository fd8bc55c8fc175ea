"""Named sources: several inputs of one job, each with a mapper of its own.

They are read one after the other, in the order of the job's mappers, and every split says which of them it is of. Where
all of them together are small, one split holds what there is of each, so that one task can do the whole job.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from asyncmr.errors import UsageError
from asyncmr.kernel.naming import NamedDecoders, first_position
from asyncmr.protocols import (
    Buffers,
    Fingerprinted,
    Piece,
    Sample,
    Sampled,
    Section,
    Source,
    SourceInfo,
    Split,
)
from asyncmr.storage.disk import Disk

# What fits into one split, if no source makes several: as much as an engine maps and reduces in one task.
WHOLE_BYTES = 256 << 10


class NamedSources:
    """Sources by name, read in this order."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = dict(sources)
        self._infos: dict[str, SourceInfo] = {}

    @property
    def decoder(self) -> Any:
        """What turns a split into records: one for each source, as `NamedDecoders`."""
        return NamedDecoders(tuple(self._sources), tuple(source.decoder for source in self._sources.values()))

    async def prepare(self, disk: Disk) -> SourceInfo:
        for name, source in self._sources.items():
            self._infos[name] = await source.prepare(disk)
        return self.info

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(self._sources)

    @property
    def info(self) -> SourceInfo:
        """What is known of all of them together, once they are prepared."""
        infos = self._infos.values()
        sizes = [info.bytes for info in infos if info.bytes is not None]
        known = len(sizes) == len(infos)
        return SourceInfo(
            sum(sizes) if known else None,
            divided=not self._is_whole,
            sampled=all(info.sampled for info in infos),
        )

    @property
    def _is_whole(self) -> bool:
        """Whether all of them make one split."""
        infos = self._infos.values()
        return (
            not any(info.bytes is None or info.divided for info in infos)
            and sum(info.bytes or 0 for info in infos) <= WHOLE_BYTES
        )

    def each(self) -> list[tuple[str, Source, SourceInfo]]:
        """The sources with their names, and what is known of each."""
        return [(name, source, self._infos[name]) for name, source in self._sources.items()]

    async def put(self, name: str, source: Source, disk: Disk) -> None:
        """Another source takes the place of the one of this name."""
        self._sources[name] = source
        self._infos[name] = await source.prepare(disk)

    def fingerprint(self) -> dict[str, str]:
        """Those of all sources, under their names."""
        found = {"the order of the inputs": ", ".join(map(repr, self._sources))}
        for name, source in self._sources.items():
            if not isinstance(source, Fingerprinted):
                raise UsageError(
                    "a job with resume= must be able to tell its input from others when it is run again, and "
                    f"{type(source).__name__}, its input {name!r}, has no fingerprint(); read from files, or give "
                    "the source that method"
                )
            for what, value in source.fingerprint().items():
                found[f"of the input {name!r}, {what}"] = value
        return found

    async def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
        """The splits of one source after the other. They raise what the sources raise."""
        if self._is_whole:
            whole = await self._whole(buffers)
            if whole is not None:
                yield whole
            return
        index = 0
        for number, source in enumerate(self._sources.values()):
            async with aclosing(source.splits(buffers)) as splits:
                async for split in splits:
                    yield _of(split, number, index)
                    index += 1

    async def samples(self, buffers: Buffers) -> AsyncGenerator[Sample, None]:
        """The samples of one source after the other."""
        index = 0
        for number, source in enumerate(self._sources.values()):
            assert isinstance(source, Sampled)
            async with aclosing(source.samples(buffers)) as samples:
                async for sample in samples:
                    yield sample._replace(split=_of(sample.split, number, index))
                    index += 1

    async def _whole(self, buffers: Buffers) -> Split | None:
        """All splits as sections of one; None if there are none."""
        found: list[tuple[int, Split, bytes]] = []
        for number, source in enumerate(self._sources.values()):
            async with aclosing(source.splits(buffers)) as splits:
                async for split in splits:
                    data = split.data if split.buffer is None else bytes(split.buffer.view[: split.length])
                    split.release()
                    found.append((number, split, data))
        if len(found) < 2:
            return replace(_of(found[0][1], found[0][0], 0), data=found[0][2], buffer=None) if found else None
        decoders = [source.decoder for source in self._sources.values()]
        sections: list[Section] = []
        pieces: list[Piece] = []
        end = 0
        for number, split, data in found:
            first = first_position(len(sections), end, decoders[number])
            pieces += [replace(piece, start=first + piece.start) for piece in split.pieces] or [
                Piece("", 0, first)
            ]
            sections.append(Section(number, end, end + len(data)))
            end += len(data)
        pieces.sort(key=lambda piece: piece.start)
        together = b"".join(data for _, _, data in found)
        return Split(0, end, data=together, pieces=tuple(pieces), sections=tuple(sections))


def _of(split: Split, number: int, index: int) -> Split:
    """The split as one of the source of this number, and in its place among the splits of all."""
    return replace(split, index=index, sections=(Section(number, 0, split.length),))


def named_sources(job: str, mapper: object, given: Any, source_of: Callable[[Any], Source]) -> NamedSources:
    """The sources that a caller means for a job, in the order of its mappers.

    Raises:
        UsageError: the job's mappers or the sources have no names, or other names.
    """
    if not isinstance(mapper, Mapping):
        raise UsageError(
            f"the sources have names ({_listed(given)}), and job {job!r} has one mapper for all; pass the paths as a "
            f"list, or give the job a mapper for each: Job(mapper={_example(given, '...')}, ...)"
        )
    if not isinstance(given, Mapping):
        raise UsageError(
            f"job {job!r} has a mapper for each of its inputs ({_listed(mapper)}), and was given a "
            f"{type(given).__name__}; name them: {_example(mapper, 'SOURCE')}, or on the command line "
            + " ".join(f"{name}=PATH" for name in mapper)
        )
    if given.keys() != mapper.keys():
        missing = [name for name in mapper if name not in given]
        unknown = [name for name in given if name not in mapper]
        wrong = [f"there is no source for {_quoted(missing)}"] if missing else []
        wrong += [f"there is no mapper for {_quoted(unknown)}"] if unknown else []
        raise UsageError(
            f"job {job!r} has mappers for {_listed(mapper)}, and was given sources for {_listed(given)}: "
            + ", and ".join(wrong)
        )
    sources: dict[str, Source] = {}
    for name in mapper:
        try:
            source = source_of(given[name])
        except UsageError as error:
            raise UsageError(f"the source {name!r}: {error}") from None
        for other, known in sources.items():
            if known is source:
                raise UsageError(
                    f"{other!r} and {name!r} are one {type(source).__name__} object, which can be read once; "
                    "make one for each"
                )
        sources[name] = source
    return NamedSources(sources)


def _listed(names: Mapping[Any, object]) -> str:
    return ", ".join(map(str, names)) or "nothing"


def _quoted(names: list[Any]) -> str:
    return " and ".join(map(repr, names))


def _example(names: Mapping[Any, object], value: str) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name in names) + "}"
