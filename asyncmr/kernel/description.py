"""What tells one function from another: the same text in every process for the same code and values.

A function is its code without line numbers and docstring, its defaults, what its closure holds, and what it names of
its module: constants, and the functions and classes of the same package, likewise. What other packages define counts by
its name. An object is its class and its state, as pickle would have it.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from typing import Any

_PLAIN = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis))
_CONTAINERS = (tuple, list, set, frozenset, dict)
_METHODS = (types.FunctionType, staticmethod, classmethod, property)


def digest(function: object) -> str:
    """A short text for a function, or an object that is called like one or has methods."""
    description = repr(_Describing(function).of(function))
    return hashlib.blake2b(description.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class _Describing:
    """The description of one object. What was told of a function or class once is not told again."""

    def __init__(self, root: object) -> None:
        module = getattr(root, "__module__", None) or type(root).__module__
        self._package = module.partition(".")[0]
        self._told: set[int] = set()
        self._above: list[object] = []

    def of(self, value: Any) -> Any:
        """Nested tuples of plain values."""
        if isinstance(value, bytes) and len(value) > 64:
            return "bytes", hashlib.blake2b(value).hexdigest()
        if type(value) in _PLAIN:
            return type(value).__name__, repr(value)
        if any(value is other for other in self._above):
            return ("above",)
        self._above.append(value)
        try:
            return self._of(value)
        finally:
            self._above.pop()

    def _of(self, value: Any) -> Any:
        match value:
            case types.FunctionType():
                return self._named(value, self._function)
            case type():
                return self._named(value, self._class)
            case types.CodeType():
                return self._code(value, None)
            case types.ModuleType():
                return "module", value.__name__
            case types.MethodType():
                return "method", self.of(value.__func__), self.of(value.__self__)
            case partial():
                return "partial", self.of(value.func), self.of(value.args), self.of(value.keywords)
            case types.BuiltinFunctionType() if isinstance(value.__self__, types.ModuleType | None):
                return "builtin", value.__module__, value.__qualname__
            case Enum():
                return "enum", self.of(type(value)), value.name
            case tuple() | list() if type(value) in _CONTAINERS:
                return type(value).__name__, tuple(map(self.of, value))
            case set() | frozenset() if type(value) in _CONTAINERS:
                return type(value).__name__, tuple(sorted(map(self.of, value), key=repr))
            case dict() if type(value) is dict:
                pairs = [(self.of(key), self.of(item)) for key, item in value.items()]
                return "dict", tuple(sorted(pairs, key=repr))
            case types.CellType():
                try:
                    return "cell", self.of(value.cell_contents)
                except ValueError:
                    return ("empty cell",)
            case staticmethod() | classmethod():
                return type(value).__name__, self.of(value.__func__)
            case property():
                return "property", self.of((value.fget, value.fset, value.fdel))
        return "object", self.of(type(value)), self._state(value)

    def _named(self, value: Any, describe: Callable[[Any], Any]) -> Any:
        name = (type(value).__name__, value.__module__, value.__qualname__)
        if id(value) in self._told or not self._is_ours(value):
            return name
        self._told.add(id(value))
        return *name, describe(value)

    def _is_ours(self, value: Any) -> bool:
        return str(value.__module__).partition(".")[0] == self._package

    def _function(self, function: types.FunctionType) -> Any:
        return (
            self._code(function.__code__, function.__doc__),
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            tuple(map(self.of, function.__closure__ or ())),
            self.of(function.__dict__),
            tuple(self._globals(function)),
        )

    def _globals(self, function: types.FunctionType) -> Iterator[Any]:
        names = set(_names(function.__code__))
        for name in sorted(names & function.__globals__.keys()):
            value = function.__globals__[name]
            if type(value) in (*_PLAIN, *_CONTAINERS) or callable(value):
                yield name, self.of(value)
            else:  # its state may change while the program runs
                yield name, type(value).__module__, type(value).__qualname__

    def _code(self, code: types.CodeType, doc: str | None) -> Any:
        constants = code.co_consts
        if doc is not None and constants[:1] == (doc,):
            constants = constants[1:]
        arguments = code.co_argcount + code.co_kwonlyargcount
        return (
            code.co_code.hex(),
            code.co_flags,
            (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
            code.co_varnames[:arguments],
            code.co_names,
            code.co_freevars,
            code.co_exceptiontable.hex(),
            tuple(map(self.of, constants)),
        )

    def _class(self, kind: type) -> Any:
        members = sorted(
            (name, self.of(value)) for name, value in vars(kind).items() if isinstance(value, _METHODS)
        )
        constants = sorted(
            (name, self.of(value))
            for name, value in vars(kind).items()
            if type(value) in (*_PLAIN, *_CONTAINERS) and not (name.startswith("__") and name.endswith("__"))
        )
        bases = tuple(self.of(base) for base in kind.__bases__ if base is not object)
        choices = [(one.name, self.of(one.value)) for one in kind] if issubclass(kind, Enum) else []
        return bases, tuple(members), tuple(constants), tuple(choices)

    def _state(self, value: object) -> Any:
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # no two processes can share it, so it is not told apart either
            return None
        if isinstance(reduced, str):
            return reduced
        make, arguments, *rest = reduced
        state, items, pairs = (*rest, None, None, None)[:3]
        return (
            self.of(make),
            self.of(arguments),
            self.of(state),
            self.of(list(items or ())),
            self.of(list(pairs or ())),
        )


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
