"""Packages whose names are loaded on first use, since every worker process imports them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def loading(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package. `homes`: by name, the module that has it, by its path below `asyncmr`."""

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"asyncmr.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
