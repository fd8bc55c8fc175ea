"""An inverted index: each word, with the documents that contain it.

    python examples/inverted_index.py                            # the modules of Python's standard library
    python examples/inverted_index.py documents.tsv index/

A document is a line, `name<TAB>text`. The index is in the order of its words through all part files, so that a word
is found in it by bisection.
"""

import ast
import asyncio
import re
import sys
import sysconfig
import tempfile
from bisect import bisect_left
from pathlib import Path

import asyncmr


def words(_key, line):
    document, _, text = line.partition("\t")
    for word in set(re.findall(r"[a-z]+", text.lower())):
        yield word, frozenset([document])


def together(word, documents):
    yield word, frozenset().union(*documents)


def postings(word, documents):
    yield word, " ".join(sorted(frozenset().union(*documents)))


job = asyncmr.Job(mapper=words, combiner=together, reducer=postings, sort="total", name="inverted index")


def look_up(index: Path, word: str) -> list[str]:
    """The documents that contain a word. A larger index would be bisected in its files, not in memory."""
    lines = [line for part in sorted(index.glob("part-*")) for line in part.read_text().splitlines()]
    at = bisect_left(lines, word, key=lambda line: line.partition("\t")[0])
    found, _, documents = lines[at].partition("\t") if at < len(lines) else ("", "", "")
    return documents.split(" ") if found == word else []


def standard_library(folder: Path) -> Path:
    """What the modules of the standard library say of themselves, a line each."""
    documents = folder / "modules.tsv"
    with documents.open("w", encoding="utf-8") as file:
        for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
            text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
            file.write(f"{path.stem}\t{' '.join(text.split())}\n")
    return documents


def main() -> None:
    if len(sys.argv) == 3:
        print(asyncio.run(asyncmr.run(job, sys.argv[1], sys.argv[2])))
    elif len(sys.argv) == 1:
        with tempfile.TemporaryDirectory() as folder:
            index = Path(folder, "index")
            asyncio.run(asyncmr.run(job, standard_library(Path(folder)), index))
            for word in ("csv", "queue", "thread", "unheard"):
                print(f"{word}: {' '.join(look_up(index, word)) or 'nowhere'}")
    else:
        sys.exit(f"usage: {sys.argv[0]} [DOCUMENTS OUTPUT_FOLDER]")


if __name__ == "__main__":
    main()
