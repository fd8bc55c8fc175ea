"""Files as people compress them."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
if find_spec("zstandard"):
    from zstandard import ZstdCompressor

    # The command `zstd` writes checksums, as the other formats have them.
    COMPRESSORS[".zst"] = ZstdCompressor(write_checksum=True).compress


def compressed(folder: Path | str, name: str, suffix: str, *members: bytes) -> str:
    """Writes a file whose content, member by member, is compressed as its suffix says."""
    path = Path(folder, name + suffix)
    path.write_bytes(b"".join(map(COMPRESSORS[suffix], members)))
    return str(path)
