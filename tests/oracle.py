"""What a job must give, worked out in the plainest way there is."""

from functools import reduce

from asyncmr.batches import batch_kind
from asyncmr.contexts import Context, using


def oracle(job, records, key=None):
    """The pairs of a one-step job, in no particular order."""
    return reduced(job.steps[-1], mapped(job, records, key))


def reduced(step, pairs):
    """What a step makes of its mapper's pairs, in no particular order."""
    if not step.reduces:
        return pairs
    with prepared(step):
        return _reduced(step, pairs)


def _reduced(step, pairs):
    groups: dict = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    if step.fold is not None:
        return [(name, reduce(step.fold, values)) for name, values in groups.items()]
    if step.aggregator is not None:
        return [(name, aggregated(step.aggregator, values)) for name, values in groups.items()]
    return [pair for name, values in groups.items() for pair in step.reducer(name, iter(values))]


def mapped(job, records, key=None):
    """The mapper's pairs of these records, which are one batch where it takes batches."""
    with prepared(job):
        if batch_kind(job.mapper) is None:
            return [pair for record in records for pair in job.mapper(key, record)]
        returned = job.mapper(None, records)
    return list(returned.items() if isinstance(returned, dict) else zip(*returned, strict=True))


def prepared(step):
    """Inside, `asyncmr.context()` gives what the step's setup returns."""
    return using(None if step.setup is None else Context(step.setup()))


def aggregated(aggregator, values):
    return aggregator.finish(reduce(aggregator.add, values, aggregator.zero()))
