"""What all tests share: how goldens are written anew."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-goldens` writes every golden anew; the reviewer reads the difference."""
    parser.addoption("--update-goldens", action="store_true", help="write the goldens anew")
