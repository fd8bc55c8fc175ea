from __future__ import annotations

import os
import random
import resource
import zlib
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from asyncmr.errors import CorruptRunError, StorageError
from asyncmr.storage.compression import Compression, codec_of
from asyncmr.storage.extents import Extent, read_extent, read_extents

PIECES = [b"first piece", b"second", b"the third, and last"]


class Pieces:
    """A file of pieces side by side."""

    def __init__(self, path: Path, pieces: list[bytes]) -> None:
        self.path, self.pieces = path, pieces
        path.write_bytes(b"".join(pieces))
        self.fd = os.open(path, os.O_RDWR)
        self.spans = list(pairwise(accumulate(map(len, pieces), initial=0)))

    def extent(self, piece: int, at: int = 0) -> Extent:
        start, end = self.spans[piece]
        checksum = zlib.crc32(self.pieces[piece])
        return Extent(self.fd, start, end - start, checksum, end - start, str(self.path), at)

    def extents(self, order: list[int]) -> list[Extent]:
        """All to be read, so that they come in this order."""
        ends = accumulate((len(self.pieces[piece]) for piece in order), initial=0)
        return [self.extent(piece, at) for piece, at in zip(order, ends, strict=False)]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Pieces]:
    pieces = Pieces(tmp_path / "pieces", PIECES)
    yield pieces
    os.close(pieces.fd)


def read_both_ways(file: Pieces) -> bytes:
    buffer = bytearray(len(b"".join(file.pieces)))
    view = memoryview(buffer)
    read_extents(file.extents([2, 0, 1]), view)
    view.release()
    buffer.clear()  # a buffer that anything still looks at could not be cleared
    return b"".join(read_extent(file.extent(piece)) for piece in range(3))


def test_pieces_go_where_they_are_wanted_and_the_rest_is_left_alone(file: Pieces) -> None:
    buffer = bytearray(b"." * 50)
    read_extents(file.extents([2, 0]), memoryview(buffer))
    assert buffer == PIECES[2] + PIECES[0] + b"." * 20
    assert [read_extent(file.extent(piece)) for piece in range(3)] == PIECES


def test_thousands_of_pieces_of_several_files_in_any_order(tmp_path: Path) -> None:
    chance = random.Random(3)
    files = [
        Pieces(tmp_path / name, [chance.randbytes(chance.randrange(1, 40)) for _ in range(2000)])
        for name in "ab"
    ]
    wanted = [(file, piece) for file in files for piece in range(2000)]
    chance.shuffle(wanted)
    wanted.sort(key=lambda pair: pair[1] // 700)  # long stretches side by side, more than one call takes
    ends = list(accumulate((len(file.pieces[piece]) for file, piece in wanted), initial=0))
    buffer = bytearray(ends[-1])
    read_extents(
        [file.extent(piece, at) for (file, piece), at in zip(wanted, ends, strict=False)], memoryview(buffer)
    )
    assert buffer == b"".join(file.pieces[piece] for file, piece in wanted)
    for file in files:
        os.close(file.fd)


def test_every_changed_byte_is_found(file: Pieces) -> None:
    good = file.path.read_bytes()
    for position in range(len(good)):
        os.pwrite(file.fd, bytes([good[position] ^ 0x10]), position)
        with pytest.raises(CorruptRunError, match="checksum"):
            read_both_ways(file)
        with pytest.raises(CorruptRunError, match="checksum"):
            [read_extent(file.extent(piece)) for piece in range(3)]
        os.pwrite(file.fd, good[position : position + 1], position)
    assert read_both_ways(file) == good


def test_every_shortening_is_found(file: Pieces) -> None:
    for length in reversed(range(len(b"".join(PIECES)))):
        os.truncate(file.path, length)
        with pytest.raises(CorruptRunError, match="cut short"):
            read_both_ways(file)
        with pytest.raises(CorruptRunError, match="cut short"):
            [read_extent(file.extent(piece)) for piece in range(3)]


def test_damage_is_named_with_path_offset_and_bytes_of_the_piece(file: Pieces) -> None:
    """Also where the piece was read together with its neighbours."""
    os.pwrite(file.fd, b"?", 12)
    for read in (lambda: read_both_ways(file), lambda: read_extent(file.extent(1))):
        with pytest.raises(CorruptRunError, match=f"6 bytes at offset 11 of '{file.path}'") as caught:
            read()
        assert (caught.value.path, caught.value.size) == (str(file.path), 6)


def test_a_piece_in_the_place_of_another_is_found(file: Pieces) -> None:
    """Both are whole, but it is not the one that was asked for."""
    with pytest.raises(CorruptRunError):
        read_extent(file.extent(0)._replace(checksum=zlib.crc32(PIECES[1])))


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_what_cannot_be_decompressed_is_named(tmp_path: Path, name: Compression) -> None:
    """Its checksum is right: whoever wrote it was already wrong. The second is whole, but too long."""
    pytest.importorskip({"lz4": "lz4", "zstd": "zstandard"}[name])
    codec = codec_of(name)
    assert codec is not None
    file = Pieces(tmp_path / "pieces", [b"\xff garbage \xff", codec.compress(memoryview(bytes(1000)))])
    for extent in file.extent(0)._replace(length=100), file.extent(1)._replace(length=1001):
        with pytest.raises(CorruptRunError, match=f"offset {extent.offset} of '{file.path}'"):
            read_extent(extent, codec)
        with pytest.raises(CorruptRunError, match=f"offset {extent.offset} of '{file.path}'"):
            read_extents([extent], memoryview(bytearray(1001)), codec)
    assert read_extent(file.extent(1)._replace(length=1000), codec) == bytes(1000)
    os.close(file.fd)


def test_a_disk_that_gives_nothing_is_named(file: Pieces) -> None:
    unreadable = file.extent(0)._replace(fd=resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1)
    for read in (
        lambda: read_extent(unreadable),
        lambda: read_extents([unreadable], memoryview(bytearray(11))),
    ):
        with pytest.raises(StorageError, match=f"11 bytes at offset 0 of '{file.path}'") as caught:
            read()
        assert not isinstance(caught.value, CorruptRunError)
        assert isinstance(caught.value.__cause__, OSError)
