"""The functions that make a job, as type checkers see them: generic in the keys and values of the pairs they give.

    def words(_key: None, line: str) -> Iterator[tuple[str, int]]: ...

is a `Mapper[str, int]`. What a mapper takes is not followed from step to step: a lambda says nothing of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, overload

from asyncmr.typevars import K2, V2, K, K_co, P, R_co, V, V_co

Mapper = Callable[[Any, Any], Iterable[tuple[K, V]]]
Reducer = Callable[[K, Iterator[V]], Iterable[tuple[K2, V2]]]
Combiner = Callable[[K, Iterator[V]], Iterable[tuple[K, V]]]
Fold = Callable[[V, V], V]
Partitioner = Callable[[Any, int], int]
Setup = Callable[[], Any]

if TYPE_CHECKING:
    from asyncmr.asynchronous import Values

    class BatchMapper(Generic[P, R_co, K_co, V_co]):
        """What `asyncmr.batch` makes of a function: at run time that function itself, marked."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    AsyncMapper = Callable[[Any, Any], Awaitable[Iterable[tuple[K, V]]] | AsyncIterable[tuple[K, V]]]
    AsyncReducer = Callable[[K, Values[V]], Awaitable[Iterable[tuple[K2, V2]]] | AsyncIterable[tuple[K2, V2]]]
    AnyReducer = Reducer[K, V, K2, V2] | AsyncReducer[K, V, K2, V2]
    OneMapper = Mapper[K, V] | AsyncMapper[K, V] | BatchMapper[..., Any, K, V]
    AnyMapper = OneMapper[K, V] | Mapping[str, OneMapper[K, V]]

    class Table(Protocol):
        """A table of Arrow, Polars or pandas."""

        @property
        def columns(self) -> Any: ...

    class BatchDecorator(Protocol):
        """What `asyncmr.batch` with arguments gives: makes a `BatchMapper` of a function."""

        @overload
        def __call__(
            self, function: Callable[P, Mapping[K, V]], /
        ) -> BatchMapper[P, Mapping[K, V], K, V]: ...
        @overload
        def __call__(
            self, function: Callable[P, tuple[Sequence[K], Sequence[V]]], /
        ) -> BatchMapper[P, tuple[Sequence[K], Sequence[V]], K, V]: ...
        @overload
        def __call__(
            self, function: Callable[P, tuple[Sequence[K], None]], /
        ) -> BatchMapper[P, tuple[Sequence[K], None], K, None]: ...
        @overload
        def __call__(
            self, function: Callable[P, tuple[Any, Any] | Table], /
        ) -> BatchMapper[P, Any, Any, Any]: ...
