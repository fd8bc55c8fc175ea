"""The keyed hash: stable everywhere, agreeing with `==`, spread evenly."""

import os
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.errors import UsageError
from asyncmr.kernel.hashing import KeyHasher, canonical, same_key
from tests.kernel.keykinds import SCALARS, Colour, Pair, Permission, Point, keys

HASHER = KeyHasher()

PINNED = [
    0xb0fc5f4e7e909690, 0x08478dce5b18abfc, 0xaadea3682e16dc8b, 0x73f887ac563746a7, 0xf7c5115ae9d7667e,
    0xa5c9ab65f74f52c5, 0x67aab81b97e7c203, 0x7b6a4bca151f4bbd, 0x8c2ec288245acbfe, 0x2a496897e847b023,
    0x0fc0c9ef3f8d9721, 0x50dc17431e59ab4e, 0x6c7869e63428c4c5, 0xdde82b7adf0fd161, 0xace14c79f8ae0be2,
    0xc2fc31bcfb3eb38c, 0x5c56ec6c231d794b, 0x92edf0cf12511b9d, 0x163d7c3cc92de29b, 0x8ec9b834fbc978c7,
    0xf859e9eecc8f2802, 0x94f34a7741ee3ed9, 0x5ea4db31ca741d58, 0x38774779c9ceea50, 0x259bb7c56eb46f3c,
    0x2fa987322de66668, 0xa37d3f7f696b5dcc, 0x7f0722f248fda793, 0x98efcbf99af3282c, 0x1415487420d6e147,
    0x8be5f1d8d23acf90, 0x52e557068d9ccfe6, 0xed7dec7f21c53cc1, 0xfbef4dbb22179106,
]  # fmt: skip


def pinned_keys() -> list[object]:
    return [
        *("", "word", "élan", "\ud800", b"word", None, True, 0, -1, 2**62, 2**64, 10**30, 0.1, float("inf")),
        *(float("nan"), 1.5j, Fraction(1, 3), Decimal("0.3"), Decimal("1e20000"), ()),
        *(
            ("word", 3),
            ("word", 0.1),
            ("word", (1, None, b"x")),
            Pair("a", True),
            frozenset({"a", "b", "c", 1}),
        ),
        *(Colour.RED, Permission.READ | Permission.WRITE, Point("x", frozenset({("a", 1.0)}))),
        *(date(2024, 2, 29), datetime(2024, 2, 29, 12), datetime(2024, 2, 29, 12, tzinfo=UTC)),
        *(time(1, 2), timedelta(1.5), UUID(int=7)),
    ]


def test_hashes_never_change():
    """Not from one Python, machine or release to the next: durable state relies on it."""
    assert HASHER.hashes(pinned_keys()) == PINNED


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_hashes_do_not_depend_on_the_hash_seed(seed):
    code = (
        "import sys; from tests.kernel.test_hashing import HASHER, pinned_keys; "
        "sys.stdout.write(' '.join(map(str, HASHER.hashes(pinned_keys()))))"
    )
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert list(map(int, done.stdout.split())) == PINNED


def test_equal_scalars_have_equal_hashes_and_others_do_not():
    hashes = HASHER.hashes(SCALARS)
    for (a, hash_a), (b, hash_b) in combinations(zip(SCALARS, hashes, strict=True), 2):
        assert (hash_a == hash_b) == same_key(a, b), (a, b)


@given(keys, keys)
def test_one_key_has_one_hash_and_another_key_another(a, b):
    assert (HASHER.hash(a) == HASHER.hash(b)) == (canonical(a) == canonical(b))


@given(st.lists(keys, max_size=6))
def test_a_column_is_hashed_as_its_keys_are_one_by_one(column):
    assert HASHER.hashes(column) == [HASHER.hash(key) for key in column]
    assert HASHER.places(column) == [float(HASHER.hash(key)) for key in column]


@pytest.mark.parametrize(
    "column",
    [
        ["a", "b"],
        ["a", "\udfff"],
        [1, 2],
        [1, 2**70],
        [0.5, 0.25],
        [0.5, 2.0],
        [0.5, float("nan")],
        [("a", 1), ("b", 2)],
        [("a", 1.5), ("b", 2.0)],
        [("a", (1, 2)), ("b", 2)],
        [None, None],
        [b"a", b"b"],
        [],
    ],
    ids=repr,
)
def test_the_quick_paths_agree_with_the_general_one(column):
    in_company = HASHER.hashes([*column, Colour.RED])
    assert HASHER.hashes(column) == in_company[:-1]


def test_text_bytes_and_numbers_of_the_same_look_are_apart():
    assert len(set(HASHER.hashes(["1", b"1", 1, ("1",), None, "None", b"\1" + bytes(7)]))) == 7


def test_a_hash_has_64_bits_and_all_of_them_vary():
    hashes = HASHER.hashes([f"word{n}" for n in range(1000)])
    assert min(hashes) >= 0
    assert max(hashes) < 2**64
    for bit in range(64):
        assert 350 < sum(h >> bit & 1 for h in hashes) < 650


@pytest.mark.parametrize(
    "make", [str, int, float, lambda n: n / 7, lambda n: (n, str(n)), lambda n: 2**61 * n - n]
)
def test_regular_keys_fill_partitions_evenly(make):
    places = HASHER.places([make(n) for n in range(8000)])
    filled = [0] * 8
    for place in places:
        filled[int(place / 2**61)] += 1
    assert min(filled) > 850
    assert max(filled) < 1150


def test_another_secret_gives_other_hashes():
    column = ["a", b"a", 1, 0.5, None, ("a", 1)]
    assert not set(KeyHasher(1).hashes(column)) & set(KeyHasher(2).hashes(column))


def test_a_hasher_survives_pickling():
    hasher = pickle.loads(pickle.dumps(KeyHasher(77)))
    assert hasher == KeyHasher(77) != KeyHasher(78)
    assert hasher.hash("a") == KeyHasher(77).hash("a")


@pytest.mark.parametrize("secret", [-1, 2**64])
def test_a_secret_that_is_not_64_bits_is_refused(secret):
    with pytest.raises(UsageError, match="secret"):
        KeyHasher(secret)
