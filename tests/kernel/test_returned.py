"""Every form in which a batch function may return its columns."""

import re
from array import array
from collections import Counter, OrderedDict

import pytest

from asyncmr.kernel.outlets import ColumnBatch
from asyncmr.kernel.returned import NotColumns, columns_of


def arrow():
    return pytest.importorskip("pyarrow")


def polars():
    return pytest.importorskip("polars")


def numpy():
    return pytest.importorskip("numpy")


TWO = {
    "lists": lambda: (["a", "b"], [1, 2]),
    "tuples": lambda: (("a", "b"), (1, 2)),
    "dict views": lambda: ({"a": 0, "b": 0}.keys(), {"a": 1, "b": 2}.values()),
    "iterators": lambda: (iter("ab"), map(int, "12")),
    "an array of the standard library": lambda: (["a", "b"], array("i", [1, 2])),
    "numpy arrays": lambda: (numpy().array(["a", "b"]), numpy().array([1, 2])),
    "arrow arrays": lambda: (arrow().array(["a", "b"]), arrow().chunked_array([[1], [2]])),
    "polars series": lambda: (polars().Series(["a", "b"]), polars().Series([1, 2])),
    "an arrow table": lambda: arrow().table({"x": ["a", "b"], "y": [1, 2]}),
    "an arrow table of equal names": lambda: arrow().table([["a", "b"], [1, 2]], names=["x", "x"]),
    "an arrow record batch": lambda: arrow().RecordBatch.from_pydict({"x": ["a", "b"], "y": [1, 2]}),
    "arrow's value_counts": lambda: arrow().array(["a", "b", "b"]).value_counts(),
    "a polars frame": lambda: polars().DataFrame({"x": ["a", "b"], "y": [1, 2]}),
    "a pandas frame": lambda: pytest.importorskip("pandas").DataFrame({"x": ["a", "b"], "y": [1, 2]}),
}


@pytest.mark.parametrize("form", TWO)
def test_columns(form):
    batch = columns_of(TWO[form]())
    assert batch == ColumnBatch(["a", "b"], [1, 2])
    assert {type(item) for column in batch[:2] for item in column} == {str, int}


@pytest.mark.parametrize("mapping", [dict, Counter, OrderedDict])
def test_a_mapping_holds_partials(mapping):
    assert columns_of(mapping({"a": 1, "b": 2})) == ColumnBatch(["a", "b"], [1, 2], partial=True)


def test_no_values_are_as_many_nones():
    assert columns_of((["a", "b"], None)) == ColumnBatch(["a", "b"], [None, None])


@pytest.mark.parametrize("nothing", [{}, ([], []), ([], None)])
def test_a_batch_may_come_to_nothing(nothing):
    assert columns_of(nothing)[:2] == ([], [])


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "returned None, of type NoneType; a batch function returns a mapping"),
        (7, "returned 7, of type int"),
        ([("a", 1), ("b", 2)], "of type list"),
        ((pair for pair in [("a", 1)]), "of type generator"),
        (([1], [2], [3]), "a tuple of 3"),
        ((["a"], [1, 2]), "1 keys and 2 values"),
        ((None, [1]), "every value needs a key"),
        (("ab", [1, 2]), "returned 'ab' as a column"),
        ((["a"], 1), "returned 1 as a column"),
    ],
)
def test_what_is_neither_is_said_to_be_neither(returned, said):
    with pytest.raises(NotColumns, match=re.escape(said)):
        columns_of(returned)


def test_a_table_has_two_columns():
    with pytest.raises(NotColumns, match="a table of 1 columns"):
        columns_of(arrow().table({"x": [1]}))
