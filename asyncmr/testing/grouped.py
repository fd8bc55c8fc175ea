"""What the steps of a job make of some records: the values of each key that their reducers meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Names
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

from asyncmr.asynchronous import is_async_setup
from asyncmr.batches import batch_kind
from asyncmr.contexts import Context, using
from asyncmr.counters import counting
from asyncmr.errors import UsageError
from asyncmr.functions import Mapper, Setup
from asyncmr.job import Job, Step
from asyncmr.kernel.batching import Batching, mapper_for
from asyncmr.kernel.blocks import encode_pairs
from asyncmr.kernel.counterexamples import Kept
from asyncmr.kernel.decoding import PairBlocks
from asyncmr.kernel.failures import check_keys, check_pairs
from asyncmr.kernel.mapping import Mapping
from asyncmr.kernel.operators import AggregateOperator, GroupOperator, Operator, Partial, operator_of
from asyncmr.kernel.outlets import ColumnBatch, Item
from asyncmr.protocols import Pair
from asyncmr.testing.generated import Group

Records = Iterable[Any] | Names[str, Iterable[Any]]


class Contexts:
    """What the setups of a job's steps make, each made once, when it is first needed."""

    def __init__(self) -> None:
        self._made: list[tuple[Setup, Context]] = []

    def of(self, step: Step) -> AbstractContextManager[None]:
        """Inside, `asyncmr.context()` gives what the step's setup made."""
        setup = step.setup
        if setup is None or is_async_setup(setup):  # which is for async functions, and none of them runs here
            return using(None)
        for other, context in self._made:
            if other is setup:
                return using(context)
        context = Context(setup())
        self._made.append((setup, context))
        return using(context)


def grouped(job: Job, records: Records, contexts: Contexts) -> Iterator[tuple[int, Step, list[Group]]]:
    """Each step that reduces, by number from 0, and the groups that it gets when the job runs over these records."""
    keys: list[Any] = []
    values: list[Any] = []
    for number, step in enumerate(job.steps):
        operator = operator_of(step)
        mapped = _Mapped(wraps=isinstance(operator, AggregateOperator))
        with counting({}), contexts.of(step):
            if number:
                _map(step.mappers[0], PairBlocks(), keys, values, mapped)
            else:
                for mapper, some in _inputs(step, records):
                    _map(mapper, PairBlocks(keyed=False), [None] * len(some), some, mapped)
        if operator is None:
            keys, values = mapped.keys, mapped.values
            continue
        groups = mapped.groups()
        yield number, step, groups
        with contexts.of(step):
            pairs = list(chain.from_iterable(_pairs_of(operator, group) for group in groups))
        keys, values = [key for key, _ in pairs], [value for _, value in pairs]


def result_of(operator: Operator, group: Group) -> Any:
    """What a group is reduced to, all at once."""
    with counting({}):
        return operator.result(group.key, [value.copy() for value in group.values])


def _pairs_of(operator: Operator, group: Group) -> list[Pair]:
    result = result_of(operator, group)
    return result if isinstance(operator, GroupOperator) else [(group.key, result)]


def _inputs(step: Step, records: Records) -> Iterator[tuple[Mapper, list[Any]]]:
    """Each mapper of a first step, with its records."""
    if isinstance(step.mapper, Names) and isinstance(records, Names):
        if step.mapper.keys() == records.keys():
            for name, mapper in step.mapper.items():
                yield mapper, list(records[name])
            return
    elif not isinstance(step.mapper, Names) and not isinstance(records, Names):
        yield step.mapper, list(records)
        return
    names = ", ".join(f"{name!r}: [...]" for name in step.mapper) if isinstance(step.mapper, Names) else ""
    wanted = f"records={{{names}}}" if names else "records=[...]"
    raise UsageError(f"job {step.name!r} takes {wanted} in check_reducer")


def _map(mapper: Mapper, decoder: PairBlocks, keys: list[Any], values: list[Any], outlet: _Mapped) -> None:
    mapper = mapper_for(mapper, decoder)
    data = memoryview(encode_pairs(keys, values))
    work = Mapping if batch_kind(mapper) is None else Batching
    mapping: Mapping | Batching = work(mapper, decoder, data, 0, len(values))
    for _ in mapping.into(outlet):
        pass


class _Mapped:
    """An outlet that keeps all pairs. `wraps`: what is a partial is told from values."""

    def __init__(self, *, wraps: bool) -> None:
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self._wraps = wraps

    def add(self, batch: list[Pair]) -> Iterator[Item]:
        """Takes a batch of pairs."""
        check_pairs("mapper", "the mapper", batch)
        self.keys += [key for key, _ in batch]
        self.values += [value for _, value in batch]
        return iter(())

    def add_columns(self, batch: ColumnBatch) -> Iterator[Item]:
        """Takes a batch of columns."""
        self.keys += batch.keys
        self.values += map(Partial, batch.values) if batch.partial and self._wraps else batch.values
        return iter(())

    def groups(self) -> list[Group]:
        """The values of each key, keys in the order in which they came."""
        check_keys(self.keys)
        found: dict[Any, Group] = {}
        for key, value in zip(self.keys, self.values, strict=True):
            found.setdefault(key, Group(key, [])).values.append(Kept.even_if_unpicklable(value))
        return list(found.values())
