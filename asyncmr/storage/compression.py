"""Codecs that make spilled pieces smaller, each imported only where it is asked for.

None is the default. On a local disk compression cost more time than it saved: runs of numbers and hashes shrink by
5 to 15% with lz4, by 25 to 40% with zstd, which takes 2 to 7 seconds of CPU a gigabyte. It pays where the disk is slow
or small, or the values are long texts.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any, Literal, Protocol

from asyncmr.errors import UsageError

Compression = Literal["none", "lz4", "zstd"]


class Codec(Protocol):
    """Its methods are called in several threads at once. `error`: what `decompress` raises."""

    error: type[Exception]

    def compress(self, data: memoryview) -> bytes: ...

    def decompress(self, data: bytes | memoryview, size: int) -> bytes:
        """What was compressed, which was `size` bytes."""


class Lz4:
    """The block format: no header, no checksum of its own."""

    def __init__(self) -> None:
        block: Any = import_module("lz4.block")
        self.error: type[Exception] = block.LZ4BlockError
        self._block = block

    def compress(self, data: memoryview) -> bytes:
        smaller: bytes = self._block.compress(data, store_size=False)
        return smaller

    def decompress(self, data: bytes | memoryview, size: int) -> bytes:
        whole: bytes = self._block.decompress(data, uncompressed_size=size)
        return whole


class Zstd(threading.local):
    """Level 1: level 3 makes spilled runs hardly smaller and takes up to twice the time. A context for each thread."""

    LEVEL = 1

    def __init__(self) -> None:
        zstandard: Any = import_module("zstandard")
        self.error: type[Exception] = zstandard.ZstdError
        self._compressor = zstandard.ZstdCompressor(level=self.LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def compress(self, data: memoryview) -> bytes:
        smaller: bytes = self._compressor.compress(data)
        return smaller

    def decompress(self, data: bytes | memoryview, size: int) -> bytes:
        whole: bytes = self._decompressor.decompress(data, max_output_size=size)
        return whole


def codec_of(compression: Compression) -> Codec | None:
    """The codec of this name.

    Raises:
        UsageError: there is none, or it is not installed.
    """
    if compression == "none":
        return None
    codecs: dict[str, type[Codec]] = {"lz4": Lz4, "zstd": Zstd}
    if compression not in codecs:
        raise UsageError(f'spill_compression={compression!r} is none of "none", "lz4" and "zstd"')
    try:
        return codecs[compression]()
    except ImportError as error:
        raise UsageError(
            f'spill_compression="{compression}" needs a package that cannot be imported ({error}); '
            f"install it by: pip install 'asyncmr[{compression}]'"
        ) from error
