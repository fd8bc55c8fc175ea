"""A family of jobs for properties: every kind of reduction, over keys and values of several types."""

import operator
from collections import Counter

import asyncmr
from asyncmr import Job


def letters(_key, record):
    """Several pairs a record, none for an empty one."""
    for position, letter in enumerate(record):
        yield letter, position


def sizes(_key, record):
    yield len(record), record


def tuples(_key, record):
    return [((record[:1], len(record) % 3), len(record))]


def without_value(_key, record):
    yield record, None


def offset():
    return 5


def offset_sizes(_key, record):
    yield len(record) + asyncmr.context(), record


def listed_with_context(key, values):
    yield key, [asyncmr.context(), *values]


@asyncmr.batch(size=64)
def many_letters(_keys, records):
    """What `letters` yields, as columns."""
    return [letter for record in records for letter in record], [
        n for record in records for n in range(len(record))
    ]


@asyncmr.batch(size=64)
def sums(_keys, records):
    """What `letters` yields, folded."""
    found: Counter[str] = Counter()
    for record in records:
        for position, letter in enumerate(record):
            found[letter] += position
    return found


def total(key, values):
    yield key, sum(values)


def listed(key, values):
    """Shows the order in which the values came."""
    yield key, list(values)


def twice(key, values):
    """Two results a key, none for some."""
    found = sum(1 for _ in values)
    if found % 2:
        yield key, found
        yield key, -found


class Mean:
    """An aggregator whose accumulator is not its result."""

    def zero(self):
        return 0, 0

    def add(self, acc, value):
        return acc[0] + value, acc[1] + 1

    def merge(self, left, right):
        return left[0] + right[0], left[1] + right[1]

    def finish(self, acc):
        return acc[0] / acc[1]


def by_length(key, partitions):
    return len(repr(key)) % partitions


JOBS = {
    "fold": Job(mapper=letters, fold=operator.add),
    "fold of another function": Job(mapper=letters, fold=max),
    "fold that does not commute": Job(mapper=sizes, fold=operator.add),
    "sum": Job(mapper=letters, aggregator=asyncmr.Sum()),
    "count": Job(mapper=tuples, aggregator=asyncmr.Count()),
    "mean": Job(mapper=letters, aggregator=Mean()),
    "combiner": Job(mapper=letters, combiner=total, reducer=total),
    "values in order": Job(mapper=letters, reducer=listed),
    "several results": Job(mapper=tuples, reducer=twice),
    "sorted": Job(mapper=letters, reducer=listed, sort=True),
    "sorted fold": Job(mapper=tuples, fold=operator.add, sort=True),
    "partitioner": Job(mapper=letters, reducer=listed, partitioner=by_length),
    "only maps": Job(mapper=letters),
    "passing": Job(mapper=letters, partitions=3),
    "passing sorted": Job(mapper=sizes, sort=True),
    "passing partitioner": Job(mapper=letters, partitioner=by_length),
    "total order": Job(mapper=letters, sort="total"),
    "total order without values": Job(mapper=without_value, sort="total"),
    "total order of values in order": Job(mapper=letters, reducer=listed, sort="total"),
    "total order of a combiner": Job(mapper=letters, combiner=total, reducer=total, sort="total"),
    "total order of an aggregator": Job(mapper=tuples, aggregator=Mean(), sort="total"),
    "total order of a fold": Job(mapper=tuples, fold=operator.add, sort="total"),
    "setup": Job(mapper=offset_sizes, reducer=listed_with_context, setup=offset),
    "columns": Job(mapper=many_letters, fold=operator.add),
    "columns, in order": Job(mapper=many_letters, reducer=listed),
    "columns, only mapped": Job(mapper=many_letters),
    "partials": Job(mapper=sums, fold=operator.add),
    "partials of an aggregator": Job(mapper=sums, aggregator=asyncmr.Sum()),
    "partials, combined": Job(mapper=sums, combiner=total, reducer=total),
}

TOTAL_ORDER = [name for name, job in JOBS.items() if job.sort == "total"]
