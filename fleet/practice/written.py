"""Files of a project that fleet wrote before, read back."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from fleet.errors import ConfigError

T = TypeVar("T")


def read_written(path: Path, kind: type[T]) -> T | None:
    """What is in it; None when it is not there. Raises ConfigError for a file that fleet did not write so."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise ConfigError(f"cannot be read: {problem.strerror or problem}", place=str(path)) from None
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as problem:
        raise ConfigError(
            "not what fleet wrote there", place=str(path), detail=str(problem), hint="git has it as it was"
        ) from None
