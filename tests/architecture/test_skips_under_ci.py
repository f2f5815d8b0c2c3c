"""Nothing is skipped in silence under CI: a real part that is missing is a failure there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITE = """\
import pytest

@pytest.mark.skipif(True, reason="no sshd here")
def test_by_mark(): ...

def test_by_word():
    pytest.skip("no model here")

@pytest.mark.mac
@pytest.mark.skip(reason="needs a real Mac")
def test_of_the_mac(): ...

@pytest.mark.xfail(reason="known")
def test_known():
    assert False

def test_good(): ...
"""


def run_suite(folder: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_sample.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = mac\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLEET_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", str(folder)],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_a_skipped_test_fails_under_ci_but_for_the_mac_suite(tmp_path: Path) -> None:
    answer = run_suite(tmp_path, SUITE, FLEET_CI="1")
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error" in answer.stdout
    assert "skipped under FLEET_CI, where every real part must be there: no sshd here" in answer.stdout


def test_a_skipped_file_fails_under_ci(tmp_path: Path) -> None:
    answer = run_suite(tmp_path, "import pytest\npytest.importorskip('a_part_that_is_missing')\n", FLEET_CI="1")
    assert answer.returncode not in (0, 5)
    assert "could not import 'a_part_that_is_missing'" in answer.stdout


@pytest.mark.parametrize("text", [SUITE, "import pytest\npytest.importorskip('a_part_that_is_missing')\n"])
def test_elsewhere_a_skip_is_a_skip(tmp_path: Path, text: str) -> None:
    assert " failed" not in run_suite(tmp_path, text).stdout
