"""The estimate of memory is near the truth, and the same everywhere."""

import random
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from asyncmr.kernel.columns import estimate_bytes
from tests.kernel.keykinds import Colour, Point, Slotted

COUNT = 2000

MAKERS: dict[str, Callable[[int], Any]] = {
    "str": lambda n: f"word number {n}",
    "latin": lambda n: f"é number {n}" * 20,
    "cyrillic": lambda n: f"ж number {n}" * 20,
    "emoji": lambda n: f"🙂 number {n}" * 20,
    "bytes": lambda n: b"%d bytes" % n,
    "big bytes": lambda n: bytes(1000 + n % 7),
    "int": lambda n: n + 1000,
    "big int": lambda n: 2 ** (1000 + n % 8),
    "float": lambda n: n / 7,
    "tuple": lambda n: (f"word {n}", n + 1000),
    "list": lambda n: [n + 1000, n / 7, str(n)],
    "dict": lambda n: {"a": f"word {n}", "b": n + 1000},
    "long dict": lambda n: {m: str(n) for m in range(20)},
    "frozenset": lambda n: frozenset((n + 1000, str(n))),
    "nested": lambda n: [(f"word {n}", n + 1000)],
    "object": lambda n: Point(f"word {n}", n + 1000),
    "slots": lambda n: Slotted(f"word {n}"),
    "bytearray": lambda n: bytearray(500),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_the_estimate_is_near_what_the_objects_take(kind):
    """Within a factor of two either way; interned and shared parts are counted as if each had its own."""
    tracemalloc.start()
    try:
        objects = [MAKERS[kind](n) for n in range(COUNT)]
        taken = tracemalloc.get_traced_memory()[0] - 8 * COUNT
    finally:
        tracemalloc.stop()
    assert taken / 2 < estimate_bytes(objects) < taken * 2


def test_what_each_process_has_once_counts_nothing():
    assert estimate_bytes([None, True, False, Colour.RED]) == 0
    assert estimate_bytes([]) == 0


def test_the_estimate_does_not_depend_on_the_history_of_an_object():
    """A str caches its UTF-8, a list grows ahead of its use: `sys.getsizeof` sees both."""
    text = "ж" * 50
    numbers, grown = list(range(9)), list(range(8))
    grown.append(8)
    before, size = estimate_bytes([text]), sys.getsizeof(text)
    type(text, (), {})  # a class's name is wanted as UTF-8
    assert sys.getsizeof(text) > size
    assert estimate_bytes([text]) == before
    assert sys.getsizeof(grown) != sys.getsizeof(numbers)
    assert estimate_bytes([grown]) == estimate_bytes([numbers])


def test_the_estimate_does_not_depend_on_order_in_the_sample():
    sample = [make(n) for n, make in enumerate(MAKERS.values())]
    shuffled = random.Random(1).sample(sample, len(sample))
    assert estimate_bytes(shuffled) == estimate_bytes(sample)


def test_estimates_of_columns_add_up():
    a, b = [MAKERS["tuple"](n) for n in range(50)], [MAKERS["dict"](n) for n in range(50)]
    assert estimate_bytes(a + b) == estimate_bytes(a) + estimate_bytes(b)


class Liar:
    def __sizeof__(self) -> int:
        raise ZeroDivisionError


class Greeting(list[str]):
    def __iter__(self):
        raise ZeroDivisionError

    def __len__(self):
        raise ZeroDivisionError


def test_the_users_own_methods_are_not_relied_on():
    assert estimate_bytes([Liar()]) > 0
    assert estimate_bytes([Greeting(["hello"])]) >= estimate_bytes([["hello"]])


def test_an_object_that_holds_itself_has_an_estimate():
    knot: list[Any] = []
    knot.append(knot)
    assert estimate_bytes([knot]) > 0
