"""The one keyed hash of keys: 64 bits, the same in every process, on every engine and every Python.

Keys that are one key have one hash (`keys` says which are). Whole columns are hashed: the plain form of a
column is mostly the column itself, and each kind of plain form has its own loop in C. The kinds have seeds of
their own, derived from the secret, so that `"a"` and `b"a"`, or `1` and `"1"`, do not meet.
"""

from __future__ import annotations

import marshal
import struct
from collections import defaultdict
from itertools import repeat
from typing import Any

from xxhash import xxh3_64_intdigest

from asyncmr.errors import UsageError
from asyncmr.kernel.keys import canonical, plain_column, register_key_type
from asyncmr.kernel.nans import holds_nan, same_key, unify_nans

__all__ = [
    "DEFAULT_SECRET",
    "KeyHasher",
    "canonical",
    "holds_nan",
    "register_key_type",
    "same_key",
    "unify_nans",
]

DEFAULT_SECRET = 0x6173796E636D7231

_pack_int = struct.Struct("<q").pack
_pack_float = struct.Struct("<d").pack


class KeyHasher:
    """Hashes keys under a secret of 64 bits. A value: it has no state, and compares by its secret.

    Every method raises KeyTypeError for a key that has no value that is the same in every process.
    """

    __slots__ = ("_bytes", "_float", "_int", "_marshalled", "_none", "_secret", "_str")

    def __init__(self, secret: int = DEFAULT_SECRET) -> None:
        if not 0 <= secret < 2**64:
            raise UsageError(f"the secret of the key hash is {secret:#x}; it must be from 0 to 2**64 - 1")
        self._secret = secret
        self._str = xxh3_64_intdigest(b"str", secret)
        self._bytes = xxh3_64_intdigest(b"bytes", secret)
        self._int = xxh3_64_intdigest(b"int", secret)
        self._float = xxh3_64_intdigest(b"float", secret)
        self._none = xxh3_64_intdigest(b"None", secret)
        self._marshalled = xxh3_64_intdigest(b"marshalled", secret)

    def __reduce__(self) -> tuple[type[KeyHasher], tuple[int]]:
        return KeyHasher, (self._secret,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyHasher) and self._secret == other._secret

    def __hash__(self) -> int:
        return hash(self._secret)

    def hash(self, key: object) -> int:
        """The hash of one key, 0 <= hash < 2**64. Columns are many times cheaper."""
        return self.hashes([key])[0]

    def hashes(self, keys: list[Any], kinds: set[type] | None = None) -> list[int]:
        """The hash of each key. `kinds`: their types, where these are known.

        To look at the types costs a cache miss a key, as much as half a hash.
        """
        if (set(map(type, keys)) if kinds is None else kinds) == {str}:
            return self._hashes_of(str, keys)
        forms = plain_column(keys)
        kinds = set(map(type, forms))
        if len(kinds) == 1:
            return self._hashes_of(kinds.pop(), forms)
        columns: defaultdict[type, list[Any]] = defaultdict(list)
        for form in forms:
            columns[type(form)].append(form)
        hashes = {kind: iter(self._hashes_of(kind, column)) for kind, column in columns.items()}
        return list(map(next, map(hashes.__getitem__, map(type, forms))))

    def check(self, keys: list[Any], kinds: set[type]) -> None:
        """Raises KeyTypeError as hashing these keys would. `kinds`: their types."""
        if kinds != {str}:
            plain_column(keys)

    def places(self, keys: list[Any], kinds: set[type] | None = None) -> list[float]:
        """The hash of each key as a float, from 0.0 to 2.0**64 inclusive: what runs are ordered by.

        Floats sort three times faster than integers of 64 bits. Their 53 bits are enough, since keys that
        share a place are told apart by themselves.
        """
        return list(map(float, self.hashes(keys, kinds)))

    def _hashes_of(self, kind: type, forms: list[Any]) -> list[int]:
        if kind is str:
            try:
                return list(map(xxh3_64_intdigest, map(str.encode, forms), repeat(self._str)))
            except UnicodeEncodeError:
                return [xxh3_64_intdigest(form.encode("utf-8", "surrogatepass"), self._str) for form in forms]
        if kind is int:
            try:
                return list(map(xxh3_64_intdigest, map(_pack_int, forms), repeat(self._int)))
            except struct.error:
                return list(map(self._hash_of_int, forms))
        if kind is float:
            return list(map(xxh3_64_intdigest, map(_pack_float, forms), repeat(self._float)))
        if kind is bytes:
            return list(map(xxh3_64_intdigest, forms, repeat(self._bytes)))
        if kind is type(None):
            return [self._none] * len(forms)
        return list(map(xxh3_64_intdigest, map(marshal.dumps, forms, repeat(2)), repeat(self._marshalled)))

    def _hash_of_int(self, key: int) -> int:
        if -(2**63) <= key < 2**63:
            return xxh3_64_intdigest(_pack_int(key), self._int)
        return xxh3_64_intdigest(marshal.dumps(key, 2), self._marshalled)
