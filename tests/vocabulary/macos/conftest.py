"""Where the recordings lie."""

from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="session")
def sample() -> Callable[[str], str]:
    return lambda name: (SAMPLES / name).read_text()
