"""Batch functions: mappers that ask for many records at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

from asyncmr.asynchronous import refuse_async
from asyncmr.errors import UsageError
from asyncmr.sizes import parse_size
from asyncmr.typevars import K, P, V

if TYPE_CHECKING:
    from asyncmr.functions import BatchDecorator, BatchMapper, Table

BatchForm = Literal["records", "bytes", "arrow"]
BatchFunction = Callable[..., Any]

# Results of a batch are merged key by key: less often is cheaper, and from 4 MiB on memory is what it costs.
DEFAULT_SIZE = 2 << 20

_MARK = "__asyncmr_batch__"


@dataclass(frozen=True, slots=True)
class BatchKind:
    """What a batch function asks for: in which form, about how many bytes of input at a time, what runs else, and how
    much memory of its own it takes."""

    form: BatchForm
    size: int
    otherwise: BatchFunction | None = None
    memory: int = 0


@overload
def batch(function: Callable[P, Mapping[K, V]], /) -> BatchMapper[P, Mapping[K, V], K, V]: ...
@overload
def batch(
    function: Callable[P, tuple[Sequence[K], Sequence[V]]], /
) -> BatchMapper[P, tuple[Sequence[K], Sequence[V]], K, V]: ...
@overload
def batch(
    function: Callable[P, tuple[Sequence[K], None]], /
) -> BatchMapper[P, tuple[Sequence[K], None], K, None]: ...
@overload
def batch(function: Callable[P, tuple[Any, Any] | Table], /) -> BatchMapper[P, Any, Any, Any]: ...
@overload
def batch(
    form: BatchForm = "records",
    /,
    *,
    size: int | str = DEFAULT_SIZE,
    otherwise: BatchFunction | None = None,
    memory: int | str = 0,
) -> BatchDecorator: ...
def batch(
    form: Any = "records",
    /,
    *,
    size: int | str = DEFAULT_SIZE,
    otherwise: BatchFunction | None = None,
    memory: int | str = 0,
) -> Any:
    """Makes a mapper of a function that takes many records at a time, and returns what it made of all of them.

        @asyncmr.batch                              # a list of records
        def words(_keys, lines):
            return Counter(" ".join(lines).split())

        @asyncmr.batch("bytes", size="4 MiB")       # whole lines as they are in the file
        def lengths(_keys, block):
            ends = numpy.flatnonzero(numpy.frombuffer(block, numpy.uint8) == 10)
            return numpy.unique(numpy.diff(ends, prepend=-1), return_counts=True)

        @asyncmr.batch("arrow")                     # a pyarrow.Table; needs asyncmr[arrow]
        def users(_keys, table):
            return table["value"].value_counts()

    The function is called as `function(keys, values)`. With "records" both are lists; `keys` is None where every
    key is, as it is for lines of text. With "bytes" `values` is a bytes object of whole lines of a text file, and
    with "arrow" a table with a column "value" and, where there are keys, a column "key"; `keys` is then None.

    It returns either a mapping of each key to what the batch makes of it: with `fold` the folded value, with an
    `aggregator` an accumulator, otherwise one value of the key. Or it returns columns of keys and values of
    equal length: a tuple of two, each a list or what has `tolist()`, `to_pylist()` or `to_list()`, or a table of
    two columns, of Arrow, Polars or pandas. `(keys, None)` stands for values that are all None. Columns hold
    values as a mapper's pairs do: an aggregator adds them.

    `size`: about how much input makes a batch, in bytes or as "4 MiB"; always whole records, at least one. Where
    batches end depends on the input alone.
    `otherwise`: the mapper, of any kind, that takes its place where the form cannot be had: "bytes" of records that
    are not lines of text, "arrow" where pyarrow is not installed. Without one such a job is refused.
    `memory`: what the function takes in a worker beside its input and its result, such as a library's own code and
    buffers. So much is set aside of the engine's memory in each worker; where there is less, `otherwise` runs.

    Raises:
        UsageError: a form that there is not, a size that is none, or what cannot be marked as a batch function.
    """
    if callable(form):
        return marked(form, BatchKind("records", DEFAULT_SIZE))
    if form not in get_args(BatchForm):
        raise UsageError(f'batch({form!r}): the forms are "records", "bytes" and "arrow"')
    kind = BatchKind(form, parse_size(size), otherwise, parse_size(memory) if memory else 0)
    return lambda function: marked(function, kind)


def batch_kind(function: object) -> BatchKind | None:
    """What a mapper asks for, if it is a batch function."""
    while isinstance(function, partial):
        function = function.func
    for place in (function, type(function).__call__ if callable(function) else None):
        kind = getattr(place, _MARK, None)
        if isinstance(kind, BatchKind):
            return kind
    return None


def marked(function: BatchFunction, kind: BatchKind) -> BatchFunction:
    refuse_async("batch", function)
    if getattr(function, _MARK, kind) != kind:
        raise UsageError(
            f"{function!r} is a batch function already, and not one like this; write a second function"
        )
    try:
        # Not a wrapper: pickle finds a function by its name, and would find the wrapper there.
        setattr(function, _MARK, kind)
    except (AttributeError, TypeError):
        raise UsageError(
            f"{function!r} cannot be made a batch function; call it from a function of your own"
        ) from None
    return function
