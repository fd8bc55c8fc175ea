"""Every value of a column comes back: equal, of its exact type, bit for bit."""

import math
import operator
import struct
import subprocess
import sys
import threading
from array import array
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.errors import UsageError
from asyncmr.kernel.columns import decode_column, encode_column
from tests.kernel.keykinds import Colour, Level, Pair, Point, Word


def round_trip(values: list[Any]) -> list[Any]:
    tag, data = encode_column(values)
    assert len(tag) == 1
    padded = memoryview(b"xyz" + data + b"xyz")
    decoded = decode_column(tag, padded[3 : 3 + len(data)], len(values))
    assert decode_column(tag, data, len(values)) is not decoded
    return decoded


def same(a: Any, b: Any) -> bool:
    """Equal in value, exact type and bits, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    return bool(a == b)


class Text(str):
    __slots__ = ()


class Octets(bytes):
    pass


class Number(int):
    pass


class Fraction(float):
    pass


text = st.text(st.characters(), max_size=5)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | text
    | st.binary(max_size=5)
    | st.sampled_from([Level.LOW, Word.A, Colour.RED, Decimal("1.50"), Text("a"), Octets(b"a"), Number(1)])
    | st.builds(bytearray, st.binary(max_size=5))
)
hashable = st.none() | st.booleans() | st.integers() | text | st.binary(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.builds(Pair, inner, inner)
        | st.frozensets(hashable, max_size=3)
    ),
    max_leaves=6,
)
columns = (
    st.lists(text)
    | st.lists(st.integers())
    | st.lists(st.integers(0, 255))
    | st.lists(st.integers(-(2**63), 2**63 - 1))
    | st.lists(st.floats())
    | st.lists(st.none())
    | st.lists(st.tuples(text, st.integers()))
    | st.lists(values)
)


@given(columns)
def test_a_column_comes_back_as_it_was(column):
    assert same(round_trip(column), column)


@pytest.mark.parametrize(
    "column",
    [
        [],
        [""],
        ["", ""],
        ["a\nb", "c"],
        ["\ud800", "\udc00", "\ud800\udc00"],
        ["a", "b", "\r\n"],
        [0, 255],
        [0, 256],
        [-1],
        [2**31 - 1, -(2**31)],
        [2**31],
        [2**63 - 1, -(2**63)],
        [2**63],
        [-(2**63) - 1],
        [True, False],
        [1, True],
        [0.0, -0.0, math.inf, -math.inf, math.nan, -math.nan],
        [b"a", bytearray(b"a")],
        [(bytearray(b"a"),)],
        [[[bytearray(b"a")]]],
        [{"a": bytearray(b"a")}],
        [array("b", [1]), b"a"],
        [Text("a"), "a"],
        [Octets(b"a")],
        [Number(1)],
        [Fraction(0.5)],
        [Pair(1, 2), (1, 2)],
        [Counter("aab"), {"a": 2}],
        [{1, 2}, frozenset({1, 2})],
        [[Point(1, 2)]],
        [(((((1,),),),),)],
        ["__main__", Point("__main__", 2)],
        [str, len, operator.add],
    ],
    ids=lambda column: repr(column)[:40],
)
def test_these_come_back_too(column):
    assert same(round_trip(column), column)


def test_a_nan_keeps_its_bits():
    odd = array("d", struct.pack("<Q", 0x7FF8_0000_DEAD_BEEF))[0]
    assert same(round_trip([odd]), [odd])


def test_a_list_that_holds_itself_comes_back():
    knot: list[Any] = []
    knot.append(knot)
    (untied,) = round_trip([knot])
    assert untied[0] is untied


def test_a_lambda_and_a_local_class_come_back():
    class Local:
        pass

    add, instance = round_trip([lambda a, b: a + b, Local()])
    assert add(1, 2) == 3
    assert type(instance).__name__ == "Local"


def test_a_class_of_a_session_without_a_file_reaches_a_process_that_never_saw_it():
    """As of an interactive session: its `__main__` cannot be imported by a worker."""
    code = (
        "import sys; from asyncmr.kernel.columns import encode_column\n"
        "class Here:\n    answer = 42\n"
        "sys.stdout.buffer.write(b''.join(encode_column([Here()])))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, check=True
    ).stdout
    (here,) = decode_column(out[:1], out[1:], 1)
    assert here.answer == 42


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: (1, [value])])
def test_what_cannot_be_pickled_is_named(wrap):
    with pytest.raises(UsageError, match="lock") as caught:
        encode_column(["fine", 1, wrap(threading.Lock())])
    assert isinstance(caught.value.__cause__, TypeError)


class Stubborn:
    def __reduce__(self):
        raise ZeroDivisionError("not today")


def test_an_object_that_refuses_to_be_pickled_is_named():
    with pytest.raises(UsageError, match=r"Stubborn cannot be pickled \(ZeroDivisionError: not today\)"):
        encode_column([Stubborn()])


@pytest.mark.parametrize(
    ("column", "bytes_each"),
    [(["word"] * 1000, 5), ([1] * 1000, 1), ([1000] * 1000, 4), ([2**40] * 1000, 8), ([0.5] * 1000, 8)],
)
def test_plain_columns_are_compact(column, bytes_each):
    _, data = encode_column(column)
    assert len(data) <= bytes_each * len(column)
