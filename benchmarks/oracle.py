"""What the right output is, worked out by plain loops that share nothing with any contender but the words' meaning.

The checksums are kept beside the corpora, since an oracle may take as long as a contender.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from benchmarks.checking import Checksum, lines_of

_Lines = Iterable[bytes]


def expected(inputs: list[Path], work: str) -> Checksum:
    """The checksum of the right output of `work` (a workload, or a job of the memory study) over these files."""
    place = inputs[0].parent.with_name(f"{inputs[0].parent.name}.{work}.checksum")
    if not place.exists():
        found = Checksum.of(_ORACLES[work](chain.from_iterable(map(lines_of, inputs))))
        place.write_text(json.dumps([found.total, found.lines]), encoding="ascii")
    return Checksum(*json.loads(place.read_text(encoding="ascii")))


def _word_counts(lines: _Lines) -> Iterator[bytes]:
    counts: Counter[bytes] = Counter()
    for line in lines:
        counts.update(line.split())
    return (b"%s\t%d" % found for found in counts.items())


def _index(lines: _Lines) -> Iterator[bytes]:
    found: defaultdict[bytes, array[int]] = defaultdict(lambda: array("I"))
    for line in lines:
        number, text = line.split(b"\t")
        for word in set(text.split()):
            found[word].append(int(number))
    return (word + b"\t" + " ".join(map(str, numbers)).encode() for word, numbers in found.items())


def _document_frequencies(lines: _Lines) -> Iterator[bytes]:
    number_of: Counter[bytes] = Counter()
    sum_of: Counter[bytes] = Counter()
    for line in lines:
        number, text = line.split(b"\t")
        for word in set(text.split()):
            number_of[word] += 1
            sum_of[word] += int(number)
    return (b"%s\t%d %d" % (word, count, sum_of[word]) for word, count in number_of.items())


def _traffic(lines: _Lines) -> Iterator[bytes]:
    sizes: defaultdict[str, array[int]] = defaultdict(lambda: array("Q"))
    for line in lines:
        record = json.loads(line)
        sizes[record["user"]].append(record["bytes"])
    return (
        f"{user}\t{sum(sent)} {sum(sent) / len(sent):.3f} {max(sent)}".encode()
        for user, sent in sizes.items()
    )


def _same(lines: _Lines) -> Iterable[bytes]:
    return lines


def _burnt(lines: _Lines) -> Iterator[bytes]:
    """The generator's state after all its steps, by the closed form of a linear recurrence."""
    factor, steps, modulus = 69_069, 700_000, 1 << 32
    power = pow(factor, steps, modulus)
    # The sum of the geometric series, divided out before reducing: factor - 1 is even.
    series = (pow(factor, steps, modulus * (factor - 1)) - 1) // (factor - 1) % modulus
    return (b"%s\t%d" % (line, (int(line) * power + series) % modulus) for line in lines)


def _grouped(lines: _Lines) -> Iterator[bytes]:
    number_of: Counter[bytes] = Counter()
    sum_of: Counter[bytes] = Counter()
    for line in lines:
        key, payload = line.split(b"\t")
        number_of[key] += 1
        sum_of[key] += int(payload[:6])
    return (b"%s\t%d %d" % (key, count, sum_of[key]) for key, count in number_of.items())


_ORACLES: dict[str, Callable[[_Lines], Iterable[bytes]]] = {
    "W1": _word_counts,
    "W2": _index,
    "W3": _traffic,
    "W4": _same,
    "W5": _burnt,
    "W8": _word_counts,
    "wordcount": _word_counts,
    "index": _document_frequencies,
    "sort": _same,
    "hot": _grouped,
    "unique": _grouped,
}
