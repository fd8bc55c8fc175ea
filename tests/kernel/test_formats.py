from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.formats import TextFormat

encode = TextFormat().encode


def test_pairs_are_lines_of_key_tab_value():
    assert encode(["a", 2], [1.5, "x"]) == b"a\t1.5\n2\tx\n"


def test_a_value_of_none_leaves_the_key_alone():
    assert encode(["a", "b"], [None, 1]) == b"a\nb\t1\n"
    assert encode(["a"], [None]) == b"a\n"


def test_no_pairs_are_no_bytes():
    assert encode([], []) == b""


@given(st.lists(st.tuples(st.text(alphabet="a\t\n\\t\u00e9"), st.text(alphabet="b\t\n\\n")), max_size=9))
def test_escapes_keep_every_pair_on_a_line_that_can_be_read_back(pairs):
    data = encode([key for key, _ in pairs], [value for _, value in pairs])
    lines = data.decode().split("\n")[:-1]
    assert [tuple(map(unescaped, line.split("\t"))) for line in lines] == pairs


def unescaped(text):
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\t", "\t").replace("\\n", "\n") for part in parts)
