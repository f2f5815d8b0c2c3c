"""Tests of one group or file run in one process: a room is brought up once, and nobody else is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEST = """\
import os
import pytest

@pytest.mark.parametrize("number", range(6))
{mark}
def test_it(number, request):
    path = request.config.rootpath / "{place}"
    with path.open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
    with path.with_name("order").open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + " {place}\\n")
"""


def test_a_group_and_a_file_stay_together_and_stories_go_first(tmp_path: Path) -> None:
    stories = tmp_path / "tests" / "integration"
    stories.mkdir(parents=True)
    for path, place, mark in (
        (tmp_path / "test_a.py", "file", ""),
        (tmp_path / "test_b.py", "group", "@pytest.mark.xdist_group('room')"),
        (tmp_path / "test_c.py", "group", "@pytest.mark.xdist_group('room')"),
        (stories / "test_z.py", "story", ""),
    ):
        path.write_text(TEST.format(place=place, mark=mark))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    kept |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    words = ("-q", "-p", "xdist", "-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder", "-p", "tests.conftest",
             "-p", "no:cacheprovider", "--rootdir", str(tmp_path))  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(tmp_path)],
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    ran = {place: (tmp_path / place).read_text().split() for place in ("file", "group", "story")}
    assert {place: (len(workers), len(set(workers))) for place, workers in ran.items()} == {
        "file": (6, 1),
        "group": (12, 1),
        "story": (6, 1),
    }
    order = [line.split() for line in (tmp_path / "order").read_text().splitlines()]
    teller = next(worker for worker, place in order if place == "story")
    assert next(place for worker, place in order if worker == teller) == "story"
    assert "--dist loadgroup --no-loadscope-reorder" in (ROOT / "Makefile").read_text()
