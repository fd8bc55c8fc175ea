"""A sketch of a set: about how many different things were seen, in 4 KiB however many there are.

HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007), with linear counting while few were seen. To see one thing twice
changes nothing, and sketches of parts merge into that of the whole, so the count depends on what was seen alone: not on
its order, nor on where it was cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

# The standard error is 1.04 / sqrt(2 ** 12), 1.6 %.
_BITS = 12
_REGISTERS = 1 << _BITS
_REST = 64 - _BITS
_MASK = (1 << _REST) - 1
_ALPHA = 0.7213 / (1 + 1.079 / _REGISTERS)
# Registers are text where they are stored, each as one letter.
_LETTER = 48


class Sketch:
    """About how many different hashes were added. `registers`: of another one, to go on with."""

    def __init__(self, registers: bytes = bytes(_REGISTERS)) -> None:
        self.registers = registers

    def with_hashes(self, hashes: Iterable[int]) -> Sketch:
        """This one with some hashes of 64 bits added."""
        registers = bytearray(self.registers)
        for value in hashes:
            place = value >> _REST
            zeros = _REST + 1 - (value & _MASK).bit_length()
            if zeros > registers[place]:
                registers[place] = zeros
        return Sketch(bytes(registers))

    def merged(self, other: Sketch) -> Sketch:
        """What either has seen."""
        return Sketch(bytes(map(max, self.registers, other.registers)))

    def count(self) -> int:
        """About how many different ones were added."""
        empty = self.registers.count(0)
        estimate = _ALPHA * _REGISTERS**2 / sum(2.0**-value for value in self.registers)
        if empty and estimate <= 2.5 * _REGISTERS:
            estimate = _REGISTERS * math.log(_REGISTERS / empty)
        return round(estimate)

    def text(self) -> str:
        """As text, which `of_text` reads."""
        return bytes(value + _LETTER for value in self.registers).decode("ascii")

    @classmethod
    def of_text(cls, text: str | None) -> Sketch:
        """The sketch of a text; of None, one that has seen nothing."""
        return cls() if text is None else cls(bytes(value - _LETTER for value in text.encode("ascii")))
