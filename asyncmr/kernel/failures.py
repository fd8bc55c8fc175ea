"""How a failing user function is told to the host: as facts, with the user's exception as the cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

EXCERPT = 200


class UserFailure(Exception):
    """A user function raised. `facts` is built-ins only, so that it crosses processes; the user's is the cause."""

    def __init__(self, role: str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts: dict[str, Any] = {"role": role, "message": message, **facts}


def excerpt(value: object) -> str:
    """The beginning of the `repr`, whatever the `repr` does."""
    try:
        text = repr(value[: EXCERPT * 2]) if isinstance(value, str | bytes) else repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= EXCERPT else text[: EXCERPT - 3] + "..."


def name_of(function: Callable[..., Any] | object) -> str:
    """What a message calls a user's function; a string stands for itself."""
    if isinstance(function, str):
        return function
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def check_pairs(role: str, function: object, batch: list[Any]) -> None:
    """Raises a `UserFailure` for the first of `batch` that is not a pair; returns if all are."""
    for item in batch:
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UserFailure(
                role,
                f"{name_of(function)} gave {excerpt(item)}, which is not a (key, value) pair; "
                f"a {role} yields pairs, or returns an iterable of them",
                excerpt=excerpt(item),
            )


def check_keys(keys: Iterable[Any]) -> None:
    """Raises a `UserFailure` for the first key that cannot be hashed; returns if all can."""
    for key in keys:
        try:
            hash(key)
        except TypeError as unhashable:
            raise UserFailure(
                "mapper",
                f"the key {excerpt(key)} cannot be hashed ({unhashable}); use a tuple for a list, "
                "a frozenset for a set, and bytes for a bytearray",
                excerpt=excerpt(key),
            ) from None


def stopped_early(arguments: Iterator[Any]) -> bool:
    """Whether a `map` over this iterator of a list ended before the list did, once it gives nothing any more.

    Its function then raised StopIteration, which `map` passes on as if its input had ended: what was left of
    the list would be lost without a word.
    """
    return len(arguments.__reduce__()) == 3  # one that has ended has dropped its list


def fail_in_table(
    role: str, function: object, batch: list[Any], key: object, error: BaseException
) -> NoReturn:
    """Says why taking `batch` into a table raised `error`: not pairs, a key without a hash, or the user's function."""
    check_pairs("mapper", "the mapper", batch)
    check_keys(key for key, _ in batch)
    fail_on_key(role, function, key, error)


def fail_on_key(role: str, function: object, key: object, error: BaseException) -> NoReturn:
    """Says that `function` raised `error` for `key`."""
    raise UserFailure(
        role,
        f"{name_of(function)} raised {type(error).__name__} for the key {excerpt(key)}",
        excerpt=excerpt(key),
    ) from error
