"""The suite for a real Mac (docs/mac-acceptance.md). Elsewhere every test of it is skipped, with the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, and skip it where there is no Mac."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.mac)
            if sys.platform != "darwin":
                item.add_marker(pytest.mark.skip(reason="needs a real Mac (docs/mac-acceptance.md)"))


def output(*argv: str) -> str:
    """What a command prints, with the locale that its parsers expect."""
    ran = subprocess.run(
        argv, capture_output=True, text=True, timeout=30, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    return ran.stdout


@pytest.fixture(scope="session")
def run():
    """Runs a command; its stdout."""
    return output


@pytest.fixture(scope="session")
def has_sudo() -> bool:
    """Whether sudo works without a password."""
    return subprocess.run(["/usr/bin/sudo", "-n", "/usr/bin/true"], capture_output=True, check=False).returncode == 0
