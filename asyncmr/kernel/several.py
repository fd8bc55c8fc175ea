"""A split in parts, each with a mapper at work of its own, one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.mapping import Work
from asyncmr.kernel.outlets import Item, Outlet

T = TypeVar("T")

TAG = 4  # bytes for the number of a part


@dataclass(frozen=True, slots=True)
class Part:
    """A mapper on what lies between two positions of a part. `name`: the input that it is of, if that has one."""

    number: int
    work: Work
    start: int
    stop: int
    name: str | None = None

    @property
    def tag(self) -> bytes:
        """What the blocks of this part begin with."""
        return self.number.to_bytes(TAG)


def number_of(block: memoryview) -> int:
    """The number of the part that a block is of."""
    return int.from_bytes(block[:TAG])


class Several:
    """The mappers of several parts at work, one after the other; stands in for one `Mapping` or `Batching`.

    Its blocks begin with the number of their part, so that what one mapper makes is batched without that of another.
    """

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self._resting = parts[0]
        self.left: list[int] = []

    @property
    def records(self) -> int:
        return sum(part.work.records for part in self._parts)

    @property
    def pairs(self) -> int:
        return sum(part.work.pairs for part in self._parts)

    @property
    def patient(self) -> bool:
        return self._resting.work.patient

    @patient.setter
    def patient(self, patient: bool) -> None:
        for part in self._parts:
            part.work.patient = patient

    def into(self, outlet: Outlet) -> Iterator[Item]:
        for at, part in enumerate(self._parts):
            yield from telling(part.name, part.work.into(outlet))
            if left := part.work.left:
                # What is left of a part ends where the next one begins; what that means those know who made the parts.
                rest = self._parts[at + 1 :]
                self.left = [*left[:-1], *(later.start for later in rest), (rest[-1] if rest else part).stop]
                self._resting = part
                return

    def encoded(self) -> Iterator[bytes]:
        for part in self._parts:
            for block in telling(part.name, part.work.encoded()):
                yield part.tag + block

    def encoded_rest(self) -> bytes:
        return self._resting.tag + self._resting.work.encoded_rest()


def telling(name: str | None, steps: Iterator[T]) -> Generator[T, None, Any]:
    """The same; a mapper that fails is told with the name of its input, if it has one."""
    try:
        return (yield from steps)
    except UserFailure as failure:
        if name is not None and failure.facts["role"] in ("mapper", "decoder"):
            failure.facts["input"] = name
        raise
