"""An inverted index: each word, with the documents that contain it.

A document is a line, `name<TAB>text`. The index is sorted within each part file, so that a word is found
in it by bisection.

    python examples/inverted_index.py documents.tsv index/
"""

import asyncio
import sys

import asyncmr


def words(_key, line):
    document, _, text = line.partition("\t")
    for word in text.lower().split():
        yield word, frozenset([document])


def together(word, documents):
    yield word, frozenset().union(*documents)


def postings(word, documents):
    yield word, " ".join(sorted(frozenset().union(*documents)))


job = asyncmr.Job(mapper=words, combiner=together, reducer=postings, sort=True, name="inverted index")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} DOCUMENTS OUTPUT_FOLDER")
    print(asyncio.run(asyncmr.run(job, sys.argv[1], sys.argv[2])))


if __name__ == "__main__":
    main()
