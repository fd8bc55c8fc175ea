"""The lines of a block divided by their time, and mapped pane by pane."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncmr.kernel.panes import PaneRule, divide

RULE = PaneRule(r"^(\d+)", 10_000)
LINES = st.lists(
    st.sampled_from([*(f"{second} w{second}" for second in range(50)), "no time", ""]), max_size=20
)


def seconds_of(line):
    match = re.match(r"\d+", line)
    return None if match is None else int(match[0])


def expected_place(line, open_from, believed):
    second = seconds_of(line)
    if second is None:
        return "untimed"
    if believed is not None and second * 1000 > believed:
        return "ahead"
    pane = second // 10
    return "late" if open_from is not None and pane < open_from else pane


@settings(deadline=None)
@given(LINES, st.none() | st.integers(0, 5), st.none() | st.integers(0, 50_000), st.booleans())
@example(["1 a", "2 b"], None, None, False)
def test_each_line_is_in_its_pane_or_set_aside_in_the_order_of_the_block(lines, open_from, believed, ended):
    data = ("\n".join(lines) + "\n" * (ended or not lines or not lines[-1]) if lines else "").encode()
    division = divide(RULE, data, open_from=open_from, believed=believed)
    expected: dict = {}
    for line in lines:
        expected.setdefault(expected_place(line, open_from, believed), []).append(line)
    found: dict = {pane.number: division.data[pane.start : pane.stop].decode() for pane in division.panes}
    found |= {aside.reason: aside.data.decode() for aside in division.aside}
    assert {place: text.removesuffix("\n").split("\n") for place, text in found.items()} == expected
    assert {aside.reason: aside.lines for aside in division.aside} == {
        place: len(some) for place, some in expected.items() if isinstance(place, str)
    }
    times = [seconds_of(line) for place, some in expected.items() if isinstance(place, int) for line in some]
    assert division.latest == [max(times) * 1000 if times else None]


@settings(deadline=None)
@given(LINES)
def test_a_byte_of_the_panes_is_found_in_the_block(lines):
    data = "".join(f"{number} {line}\n" for number, line in enumerate(lines)).encode()
    division = divide(PaneRule(r"^\d+ (\d+)", 10_000), data)
    origins = [division.origin(at) for at in range(len(division.data))]
    assert bytes(data[origin] for origin in origins) == division.data
    assert len(set(origins)) == len(origins)


@settings(deadline=None)
@given(st.lists(LINES.filter(bool), min_size=1, max_size=4), st.none() | st.integers(0, 5))
def test_the_latest_time_is_told_for_each_section(sections, open_from):
    blocks = ["".join(f"{line}\n" for line in lines).encode() for lines in sections]
    ends = [sum(map(len, blocks[: number + 1])) for number in range(len(blocks))]
    together = divide(RULE, b"".join(blocks), open_from=open_from, sections=ends)
    alone = [divide(RULE, block, open_from=open_from).latest[0] for block in blocks]
    assert together.latest == alone
