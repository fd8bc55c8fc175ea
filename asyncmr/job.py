"""What a job is: frozen descriptions.

A `Job` describes; it does nothing. Its chain of `Step`s is what engines run.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, Unpack, overload

from asyncmr.asynchronous import DEFAULT_CONCURRENCY, is_async, is_async_setup, refuse_async
from asyncmr.errors import UsageError
from asyncmr.functions import Combiner, Fold, Mapper, Partitioner, Reducer, Setup
from asyncmr.protocols import Aggregator
from asyncmr.typevars import K2, V2, K, K_co, V, V_co

if TYPE_CHECKING:
    from asyncmr.functions import AnyMapper, AnyReducer
    from asyncmr.protocols import TypeKeeping

    class JobOptions(TypedDict, total=False):
        """The arguments of a `Job` that say nothing of the types of its pairs."""

        partitions: int | None
        partitioner: Partitioner | None
        sort: bool | Literal["total"]
        commutative: bool
        concurrency: int | None
        name: str
        setup: Setup | None


MAX_PARTITIONS = 65_536


@dataclass(frozen=True, slots=True)
class Step:
    """One map, and the shuffle and reduce behind it, if any. Its mapper and its reducer may be async."""

    name: str
    mapper: Mapper | Mapping[str, Mapper]
    combiner: Combiner | None
    reducer: Reducer | None
    fold: Fold | None
    aggregator: Aggregator | None
    partitions: int | None
    partitioner: Partitioner | None
    sort: bool | Literal["total"]
    commutative: bool
    concurrency: int = DEFAULT_CONCURRENCY
    setup: Setup | None = None

    @property
    def mappers(self) -> tuple[Mapper, ...]:
        """The mapper, or those of all named inputs."""
        return tuple(self.mapper.values()) if isinstance(self.mapper, Mapping) else (self.mapper,)

    @property
    def reduces(self) -> bool:
        """Whether the values of a key become results; otherwise pairs pass as they are."""
        return self.reducer is not None or self.fold is not None or self.aggregator is not None

    @property
    def shuffles(self) -> bool:
        """Whether pairs move to where their key belongs; otherwise the step only maps."""
        moved = self.partitions is not None or self.partitioner is not None or bool(self.sort)
        return self.reduces or moved

    @property
    def total_order(self) -> bool:
        """Whether the partitions are ranges of keys, one behind the other."""
        return self.sort == "total"


@dataclass(frozen=True, kw_only=True)
class Job(Generic[K_co, V_co]):
    """A MapReduce job: what to do with each record, and with the values of each key.

        Job(mapper=words, combiner=total, reducer=total)
        Job(mapper=words, fold=operator.add)
        Job(mapper=words, aggregator=asyncmr.Sum())
        Job(mapper=words)                                   # only maps
        Job(mapper=by_date, sort="total")                   # sorts
        Job(mapper={"users": f, "orders": g}, reducer=join) # several inputs

    `mapper(key, value)` yields pairs, or returns an iterable of them. A text line arrives as `(None, line)`.
    Several mappers with names are for as many sources with the same names, `{"users": "users.csv", ...}`, of any kinds;
    the values of a key then come in the order of this mapping, and within one source in input order.
    `reducer(key, values)` gets an iterator over the key's values, in input order, and yields pairs.
    `combiner(key, values)` has the reducer's form, yields the key it was given, and may run any number of
    times, also not at all, on values in input order. `fold(a, b)` must be associative; it is combiner and
    reducer at once. An `aggregator` is the same with its own accumulator (see `Aggregator`).
    `partitions`: how many parts the output has; by default it follows from the size of the input.
    `partitioner(key, partitions)` gives a key's part; by default parts are ranges of the key's hash.
    `sort`: True for keys in order within each part, "total" for keys in order through all parts, so that the parts,
    one behind the other, are sorted. Without it keys come in the order of their hash.
    `commutative`: that the order of a key's values does not matter to what reduces them, which `Engine(verify=...)` and
    `asyncmr.testing.check_reducer` then check as well. The values come in input order all the same.
    `name`: what reports and errors call the job.
    `concurrency`: how many calls of an async mapper or reducer may be under way at a time; by default 32.
    `setup()` runs once in each worker, before the job's first task there, and what it returns is what
    `asyncmr.context()` gives the job's functions: a model, a client, a dictionary. It takes no time of
    `task_timeout`. Jobs of an engine with the same setup share the value; nothing closes it. For async functions it
    runs on their event loop, once for each run of the job, and may be an `async def` or return an async context
    manager, such as a client, which is entered then and left when the job is done.

    A mapper or reducer may be an `async def` that returns an iterable of pairs, or an async generator, for work that
    waits for a network. It runs on the event loop of the caller, many calls at a time; its pairs keep the order of the
    input. Its `values` are `asyncmr.Values`, for `async for`. A call that raises, or takes longer than
    `Engine(task_timeout=...)`, is tried again up to `retries` times, so it must not mind to run more than once.

    With `partitions`, `partitioner` or `sort`, and nothing that reduces, all pairs of the mapper pass, those of
    equal keys in input order. For `sort="total"` the keys are divided into ranges by a look at a sample of the
    input: the mapper runs once more on some of the records, whose user counters do not count. Equal keys share a
    part, however many they are.

    Functions may be lambdas and closures. They run in worker processes, one record at a time, and should not
    change what they are given. An engine takes a job as it is when it first runs it: globals of a script or
    variables of a closure that change later are seen by a new Job.

    To type checkers `Job[K, V]` gives pairs of `K` and `V`, as the annotations of its functions say.

    Raises:
        UsageError: when the combination of arguments has no meaning.
    """

    mapper: Mapper | Mapping[str, Mapper]
    combiner: Combiner | None = None
    reducer: Reducer | None = None
    fold: Fold | None = None
    aggregator: Aggregator | None = None
    partitions: int | None = None
    partitioner: Partitioner | None = None
    sort: bool | Literal["total"] = False
    commutative: bool = False
    concurrency: int | None = None
    name: str = ""
    setup: Setup | None = None
    before: Job | None = None

    if TYPE_CHECKING:

        @overload
        def __init__(self: Job[K, V], *, mapper: AnyMapper[K, V], **options: Unpack[JobOptions]) -> None: ...
        @overload
        def __init__(
            self: Job[K2, V2],
            *,
            mapper: AnyMapper[K, V],
            combiner: Combiner[K, V] | None = None,
            reducer: AnyReducer[K, V, K2, V2] | None,
            **options: Unpack[JobOptions],
        ) -> None: ...
        @overload
        def __init__(
            # "or None" also lets pyright see that a fold of two 1s need not be 1.
            self: Job[K, V],
            *,
            mapper: AnyMapper[K, V],
            fold: Fold[V] | None,
            **options: Unpack[JobOptions],
        ) -> None: ...
        @overload
        def __init__(
            self: Job[K, V],
            *,
            mapper: AnyMapper[K, V],
            aggregator: TypeKeeping,
            **options: Unpack[JobOptions],
        ) -> None: ...
        @overload
        def __init__(
            self: Job[K, V2],
            *,
            mapper: AnyMapper[K, V],
            aggregator: Aggregator[V, V2] | None,
            **options: Unpack[JobOptions],
        ) -> None: ...
        def __init__(self, **arguments: Any) -> None: ...

    def __post_init__(self) -> None:
        self._check_functions()
        ways = [way for way in ("reducer", "fold", "aggregator") if getattr(self, way) is not None]
        if len(ways) > 1:
            raise UsageError(
                f"a Job takes one of reducer, fold and aggregator; this one has {' and '.join(ways)}"
            )
        if self.combiner is not None and self.reducer is None:
            raise UsageError(
                "a combiner needs a reducer; with fold or aggregator leave it out, they combine by themselves"
            )
        if self.commutative and not ways:
            raise UsageError(
                "commutative=True is said of a reducer, fold or aggregator, and this Job has none; leave it out"
            )
        if self.sort not in (False, True, "total"):
            raise UsageError(f'sort={self.sort!r} is none of False, True and "total"')
        if self.sort == "total" and self.partitioner is not None:
            raise UsageError(
                'sort="total" gives each part a range of the keys, so there is nothing for a partitioner to decide; '
                "leave it out, or use sort=True for keys in order within the parts that it makes"
            )
        if self.aggregator is not None and not isinstance(self.aggregator, Aggregator):
            raise UsageError(
                f"aggregator={self.aggregator!r} has no zero, add, merge and finish; "
                "pass an instance such as asyncmr.Sum()"
            )
        if self.partitions is not None and not 1 <= self.partitions <= MAX_PARTITIONS:
            raise UsageError(f"partitions={self.partitions} is not between 1 and {MAX_PARTITIONS}")

    def _check_functions(self) -> None:
        roles = {
            role: getattr(self, role) for role in ("mapper", "combiner", "reducer", "fold", "partitioner")
        }
        if isinstance(self.mapper, Mapping):
            self._check_names(self.mapper)
            del roles["mapper"]
            roles = {f"mapper[{name!r}]": function for name, function in self.mapper.items()} | roles
        for role, function in roles.items():
            if function is None and not role.startswith("mapper"):
                continue
            if not callable(function):
                raise UsageError(f"{role}={function!r} cannot be called; pass a function")
            if role != "reducer" and not role.startswith("mapper"):
                refuse_async(role, function)
        for method in ("zero", "add", "merge", "finish"):
            refuse_async(f"aggregator.{method}", getattr(self.aggregator, method, None))
        if self.concurrency is not None:
            if self.concurrency < 1:
                raise UsageError(f"concurrency={self.concurrency} lets no call run; give at least 1")
            if not self._is_async():
                raise UsageError(
                    f"concurrency={self.concurrency} is said of async functions, and this Job has none; plain ones "
                    "run on as many workers as the Engine has"
                )
        self._check_setup()

    def _check_names(self, mappers: Mapping[str, Mapper]) -> None:
        if not mappers or not all(name and str(name) == name for name in mappers):
            raise UsageError(
                f"mapper={mappers!r} does not name its inputs; write a mapping of a name for each input to its mapper, "
                'as mapper={"users": f, "orders": g}'
            )
        if self.before is not None:
            raise UsageError(
                f"job {self.title!r} has a mapper for each of several inputs, and what it gets from the job before it "
                "is one; only the first job of a chain can have named mappers"
            )
        object.__setattr__(self, "mapper", dict(mappers))  # what the caller does with his changes no job

    def _is_async(self) -> bool:
        mappers = self.mapper.values() if isinstance(self.mapper, Mapping) else (self.mapper,)
        return any(map(is_async, (*mappers, self.reducer)))

    def _check_setup(self) -> None:
        setup = self.setup
        if setup is None:
            return
        if not callable(setup):
            raise UsageError(
                f"setup={setup!r} cannot be called; pass a function without arguments that returns the value"
            )
        if inspect.isgeneratorfunction(setup) or inspect.isasyncgenfunction(setup):
            raise UsageError(
                f"setup={setup!r} is a generator; a setup is a plain function that returns the value (workers may be "
                "stopped at any time, so nothing could come behind a yield), or, for async functions alone, a "
                "coroutine function or one decorated with contextlib.asynccontextmanager"
            )
        if is_async_setup(setup) and not self._is_async():
            raise UsageError(
                f"setup={setup!r} is asynchronous, which serves async mappers and reducers, and this Job has none; for "
                "functions that run in workers pass a plain function that returns the value"
            )

    def then(self, following: Job[K, V]) -> Job[K, V]:
        """A job of both: the pairs that this one gives are what the mapper of `following` gets."""
        if not isinstance(following, Job):
            raise UsageError(f"then() takes a Job, not {type(following).__name__}")
        before = self if following.before is None else self.then(following.before)
        return replace(following, before=before)

    @overload
    def replace(self, **changes: Unpack[JobOptions]) -> Job[K_co, V_co]: ...
    @overload
    def replace(
        self,
        *,
        mapper: AnyMapper[Any, Any] = ...,
        combiner: Combiner | None = ...,
        reducer: AnyReducer[Any, Any, Any, Any] | None = ...,
        fold: Fold | None = ...,
        aggregator: Aggregator | None = ...,
        **changes: Unpack[JobOptions],
    ) -> Job: ...
    def replace(self, **changes: Any) -> Job:
        """A copy of this job with some arguments changed; of a chain, those of the last step."""
        return replace(self, **changes)

    @cached_property
    def title(self) -> str:
        """The job's name, or one made from its last mapper's."""
        if self.name:
            return self.name
        return " and ".join(self.mapper) if isinstance(self.mapper, Mapping) else _name_of(self.mapper)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the chain, first to last."""
        earlier = self.before.steps if self.before is not None else ()
        step = Step(
            name=self.title,
            mapper=self.mapper,
            combiner=self.combiner,
            reducer=self.reducer,
            fold=self.fold,
            aggregator=self.aggregator,
            partitions=self.partitions,
            partitioner=self.partitioner,
            sort=self.sort,
            commutative=self.commutative,
            concurrency=self.concurrency or DEFAULT_CONCURRENCY,
            setup=self.setup,
        )
        return (*earlier, step)


def _name_of(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
