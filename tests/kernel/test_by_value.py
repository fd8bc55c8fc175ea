"""Classes of the main script: one name in every run, for as long as they stay as they are."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from asyncmr.kernel import by_value

SCRIPT = """
import enum, pickle, sys
from dataclasses import dataclass
from asyncmr.kernel import by_value

class Kind(enum.Enum):
    LONG = {long}
    SHORT = 2

@dataclass(frozen=True)
class Word:
    text: str
    kind: Kind

mine = [Word("to", Kind.LONG), Kind.SHORT]
by_value.dumps(mine)  # as a program is, before anything is read
data = sys.stdin.buffer.read()
if data:
    print(pickle.loads(data) == mine)
else:
    sys.stdout.buffer.write(by_value.dumps(mine))
"""


def run(long: int, data: bytes = b"") -> bytes:
    script = SCRIPT.format(long=long)
    return subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(("long", "equal"), [(1, b"True"), (3, b"False")])
def test_what_an_earlier_run_made_equals_what_this_one_makes_unless_a_class_has_changed(long, equal):
    assert run(long, run(1)).strip() == equal


def test_a_class_that_is_defined_again_is_another_one():
    def define():
        class Word:
            text = "to"

        return Word

    first, second = define(), define()
    assert [pickle.loads(by_value.dumps(kind)) for kind in (first, second, first)] == [first, second, first]


def test_what_can_be_imported_goes_by_reference():
    assert len(by_value.dumps(pickle.Pickler)) < 60
