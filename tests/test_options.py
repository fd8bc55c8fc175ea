"""The options of the shortcuts are what type checkers know of them, so they name all that an engine takes."""

import inspect

import pytest

from asyncmr import Engine
from asyncmr.options import CollectOptions, EngineOptions, RunOptions


def keywords(function):
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("options", "method"),
    [
        (RunOptions, Engine.run),
        (CollectOptions, Engine.collect),
        (CollectOptions, Engine.stream),
        (RunOptions, Engine.start),
    ],
)
def test_every_argument_has_its_option(options, method):
    assert set(options.__annotations__) == keywords(Engine.__init__) | keywords(method)
    assert set(EngineOptions.__annotations__) == keywords(Engine.__init__)
