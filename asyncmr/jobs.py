"""Ready-made jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from asyncmr.aggregators import Count
from asyncmr.batches import batch
from asyncmr.job import Job

# Below this, importing pyarrow takes longer than it saves.
_WORTH_ARROW = 1 << 20
_MOST_ARROW = (1 << 31) - 1  # a longer string is of another type
_PIECE = 256 << 10
_SEPARATORS = (b"\x1c", b"\x1d", b"\x1e", b"\x1f")


# No more at a time than stays in the cache until it is counted: from 1 MiB on it takes a sixth longer.
@batch(size="64 KiB")
def words_of_records(_keys: object, records: list[str]) -> tuple[list[str], None]:
    """The words of records that are not lines of a file."""
    return " ".join(records).split(), None


@batch("bytes", size="64 KiB", otherwise=words_of_records)
def words(_keys: None, block: bytes) -> tuple[list[str], None]:
    """The words of a block of lines, as `str.split` finds them."""
    return block.decode("utf-8", "replace").split(), None


@batch("bytes", size="16 MiB", otherwise=words, memory="64 MiB")
def words_by_arrow(_keys: None, block: bytes) -> dict[str, int]:
    """How often the same words occur in a block, worked out by Arrow in less time."""
    if not _WORTH_ARROW <= len(block) <= _MOST_ARROW:
        return Counter(block.decode("utf-8", "replace").split())
    from pyarrow import chunked_array, compute, system_memory_pool

    # Arrow's own pool keeps 60 MB more of what it was given back, and is no faster.
    pool = system_memory_pool()
    found = chunked_array(list(_split_by_arrow(block, pool)), "string")
    counts = compute.value_counts(found, memory_pool=pool)
    table = dict(zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True))
    table.pop("", None)  # Arrow finds one where a line begins or ends with a space
    return table


def _split_by_arrow(block: bytes, pool: Any) -> Iterator[Any]:
    from pyarrow import compute

    from asyncmr.arrow import text_of

    start = 0
    while start < len(block):
        stop = block.rfind(b"\n", start, start + _PIECE) + 1 or block.find(b"\n", start) + 1 or len(block)
        piece = block[start:stop]
        # What Python takes for white space is what Unicode does; of ASCII, that is more than C does.
        plain = piece.isascii() and not any(control in piece for control in _SEPARATORS)
        split = compute.ascii_split_whitespace if plain else compute.utf8_split_whitespace
        yield split(text_of(piece), memory_pool=pool).flatten()
        start = stop


# Both count the same, to the byte.
wordcount = Job(
    mapper=words if find_spec("pyarrow") is None else words_by_arrow, aggregator=Count(), name="wordcount"
)


@batch
def whole(_keys: object, records: list[str]) -> tuple[list[str], None]:
    """Records as keys, without values."""
    return records, None


sort = Job(mapper=whole, sort="total", name="sort")
