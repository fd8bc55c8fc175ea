"""Tables and plots."""

from xml.etree import ElementTree

from benchmarks.comparison import Comparison
from benchmarks.plot import plot
from benchmarks.running import Run, Usage
from benchmarks.table import markdown, percentile, size_text


def usage(wall: float) -> Usage:
    return Usage(wall, 2 * wall, False, 1 << 20, 1, 0, "", 0)


def test_a_table_is_aligned():
    assert markdown(["", "s"], [["one", "1"], ["three", "100"]]).splitlines() == [
        "|       |   s |",
        "| ----- | --: |",
        "| one   |   1 |",
        "| three | 100 |",
    ]


def test_a_percentile_is_a_value_that_occurred():
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([7.0], 0.99) == 7.0


def test_sizes_read_as_people_write_them():
    sizes = [100_000_000, 4_000_000_000, 256 << 20, 1 << 30, 1_500_000]
    assert [size_text(size) for size in sizes] == ["100 MB", "4 GB", "256 MiB", "1 GiB", "1.4 MiB"]


def test_ratios_are_taken_round_by_round():
    """A round in which everything took three times as long changes no ratio."""
    study = Comparison("W1", 1_000_000, 2, "plain")
    study.runs = {
        "plain": [Run("plain", "W1", "ok", usage(wall)) for wall in (1.0, 3.0, 1.0)],
        "pool_classic": [Run("pool_classic", "W1", "ok", usage(wall)) for wall in (2.0, 6.0, 2.0)],
    }
    row = next(line for line in str(study).splitlines() if "pool" in line)
    assert [cell.strip() for cell in row.split("|")][5:8] == ["2.00", "2.00-2.00", "2.00"]


def test_a_wrong_output_is_in_the_table_even_if_another_round_was_right():
    study = Comparison("W1", 1_000_000, 2, "plain")
    wrong = Run("plain", "W1", "wrong output: checksum 1 instead of 2", usage(1.0))
    study.runs = {"plain": [Run("plain", "W1", "ok", usage(1.0)), wrong]}
    assert wrong.status in str(study)


def test_a_plot_has_a_point_for_each_result_and_a_cross_for_each_refusal():
    text = plot({"index": {"asyncmr": {1 << 28: 2.0, 1 << 29: 1.0}, "other <&>": {1 << 28: None}}}, "Time")
    drawing = ElementTree.fromstring(text)
    names = [element.tag.rpartition("}")[2] for element in drawing.iter()]
    texts = [element.text for element in drawing.iter() if element.tag.endswith("}text")]
    assert names.count("circle") == 2
    assert texts.count("x") == 1
    assert {"other <&>", "256M", "512M"} <= set(texts)
