"""Marking a function as a batch function."""

from functools import partial

import cloudpickle
import pytest

from asyncmr import UsageError, batch
from asyncmr.batches import DEFAULT_SIZE, BatchKind, batch_kind


@batch
def plain(_keys, values):
    return values, values


@batch("bytes", size="4 KiB")
def blocks(_keys, block):
    return block.split(), None


def unmarked(_keys, values):
    return values, values


def test_a_batch_function_is_the_function_itself_with_what_it_asks_for():
    assert batch_kind(plain) == BatchKind("records", DEFAULT_SIZE)
    assert batch_kind(blocks) == BatchKind("bytes", 4096)
    assert batch_kind(unmarked) is None
    assert blocks(None, b"a b") == ([b"a", b"b"], None)


def test_workers_find_it_by_its_name():
    assert cloudpickle.loads(cloudpickle.dumps(blocks)) is blocks


def test_one_without_a_name_keeps_what_it_asks_for():
    made = cloudpickle.loads(cloudpickle.dumps(batch("arrow", size=10)(lambda keys, table: table)))
    assert batch_kind(made) == BatchKind("arrow", 10)


class Counting:
    @batch(size=100)
    def method(self, _keys, values):
        return values, None

    @batch("bytes")
    def __call__(self, _keys, block):
        return block.split(), None


def test_methods_and_partial_functions_can_be_batch_functions():
    assert batch_kind(Counting().method) == BatchKind("records", 100)
    assert batch_kind(partial(partial(plain), _keys=None)) == batch_kind(plain)


class Called:
    def __call__(self, _keys, values):
        return values, None


def test_an_object_that_is_called_is_one_if_it_or_its_call_is_marked():
    assert batch_kind(Counting()) == BatchKind("bytes", DEFAULT_SIZE)
    assert batch_kind(batch(Called())) == batch_kind(plain)
    assert batch_kind(Called()) is None


@pytest.mark.parametrize("arguments", [("lines",), (None,), (7,)])
def test_a_form_that_there_is_not_is_refused(arguments):
    with pytest.raises(UsageError, match='"records", "bytes" and "arrow"'):
        batch(*arguments)


@pytest.mark.parametrize("size", [0, "much", "-1"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(UsageError, match="size"):
        batch("bytes", size=size)


def test_a_function_has_one_form():
    with pytest.raises(UsageError, match="second function"):
        batch("arrow")(blocks)
    assert batch("bytes", size=4096)(blocks) is blocks


def test_what_cannot_be_marked_is_refused():
    with pytest.raises(UsageError, match="function of your own"):
        batch(sorted)  # type: ignore[arg-type]


def test_an_asynchronous_one_is_refused():
    async def later(_keys, values):
        return values, None

    with pytest.raises(UsageError, match="asynchronous"):
        batch(later)  # type: ignore[arg-type]
