from __future__ import annotations

import pytest

from asyncmr.errors import UsageError
from asyncmr.sizes import MIB, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (4096, 4096),
        ("4096", 4096),
        ("64M", 64 * MIB),
        ("64m", 64 * MIB),
        ("512 MiB", 512 * MIB),
        ("512MB", 512_000_000),
        (" 1.5 GiB ", 1536 * MIB),
        ("1k", 1024),
        ("2 TB", 2 * 10**12),
        ("100_000 b", 100_000),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MiB", "12 apples", "-5", "1e9", "0", 0, -1, True, "0.1", "9.9.9 G", "٣", None]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(UsageError, match="size"):
        parse_size(text)  # type: ignore[arg-type]
