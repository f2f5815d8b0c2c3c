"""Tests of one group run in one process, so that a room is brought up once and nobody else is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITE = """\
import os
import pytest

@pytest.mark.parametrize("number", range(6))
@pytest.mark.xdist_group("room")
def test_in_the_room(number, request):
    path = request.config.rootpath / "workers"
    with path.open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")

@pytest.mark.parametrize("number", range(6))
def test_anywhere(number): ...
"""


def test_a_group_of_tests_stays_together(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    words = ("-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "--rootdir", str(tmp_path))
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(tmp_path)],
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    assert len(set((tmp_path / "workers").read_text().split())) == 1
    assert "--dist loadgroup" in (ROOT / "Makefile").read_text()
