"""Every public name has a docstring with an example, and what the examples use exists."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

import pytest

import asyncmr
from asyncmr import Engine, Job, functions

METHODS = [getattr(Engine, name) for name in ("run", "collect", "stream", "start")]
# Mapper and Reducer are names of types, which can hold no docstring; that of their module has an example.
NAMED = [functions if name in ("Mapper", "Reducer") else getattr(asyncmr, name) for name in asyncmr.__all__]
PUBLIC = NAMED + METHODS


def _examples(thing: object) -> list[str]:
    """The indented blocks of a docstring, but for what it raises."""
    text = re.sub(r"^Raises.*:\n(?:    .*\n)+", "", f"{inspect.getdoc(thing)}\n", flags=re.MULTILINE)
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", text, re.MULTILINE)
    return [inspect.cleandoc(block) for block in blocks if block.strip()]


def _name(thing: object) -> str:
    return str(getattr(thing, "__qualname__", getattr(thing, "__name__", thing)))


@pytest.mark.parametrize("thing", PUBLIC, ids=_name)
def test_it_has_an_example_of_things_that_exist(thing: object) -> None:
    examples = _examples(thing)
    assert examples
    for example in examples:
        tree = ast.parse(example)
        assert list(_unknown(tree)) == [], example


def _unknown(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "asyncmr":
            if node.attr not in asyncmr.__all__:
                yield f"asyncmr.{node.attr}"
        elif isinstance(node, ast.Call) and (allowed := _arguments(ast.unparse(node.func).split(".")[-1])):
            yield from (word.arg for word in node.keywords if word.arg and word.arg not in allowed)


def _arguments(called: str) -> set[str]:
    """What may be given by name to a call of this name; none where it is not ours."""
    engine, job = set(inspect.signature(Engine).parameters), set(inspect.signature(Job.__init__).parameters)
    if called in ("run", "collect", "stream", "start"):
        return engine | set(inspect.signature(getattr(Engine, called)).parameters)
    return {"Engine": engine, "Job": job}.get(called, set())


def test_an_example_that_is_out_of_date_is_noticed() -> None:
    """The negative control."""
    tree = ast.parse("asyncmr.Total(), Job(mapping=f), asyncmr.run(job, 'in', out='out')")
    assert set(_unknown(tree)) == {"asyncmr.Total", "mapping", "out"}
