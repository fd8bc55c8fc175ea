"""The unit for systemd is one, and says nothing to the daemon that it does not know."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asyncmr.cli.serve import serve

UNIT = (Path(__file__).parents[2] / "examples/asyncmr.service").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_has_nothing_to_say(tmp_path):
    unit = tmp_path / "asyncmr.service"
    unit.write_text(UNIT.replace("/opt/asyncmr/bin/asyncmr", sys.executable))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_what_it_sets_are_options():
    known = {str(option.envvar) for option in serve.params}
    assert set(re.findall(r"ASYNCMR_[A-Z_]+(?==)", UNIT)) <= known


def test_it_is_left_the_time_to_drain():
    (limit,) = re.findall(r"^TimeoutStopSec=(\d+)s$", UNIT, re.MULTILINE)
    (drain,) = [option.default for option in serve.params if option.name == "drain_timeout"]
    assert isinstance(drain, float)
    assert int(limit) > drain
