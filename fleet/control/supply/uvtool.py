"""The uv that came with fleet, run without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fleet.errors import SupplyError
from fleet.vocabulary.argv import Argv

_SECONDS = 3600.0


def uv_path() -> str:
    """The binary of the installed package. Raises SupplyError."""
    from uv import find_uv_bin

    try:
        return str(find_uv_bin())
    except FileNotFoundError as error:
        raise SupplyError("uv is not here", detail=str(error), hint="install fleet again: uv comes with it") from None


def run_uv(
    *words: str, failing: str, hint: str = "", environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """What uv printed. Raises SupplyError with uv's own last lines; `failing` says what cannot be had."""
    argv = Argv.of(uv_path(), *words)
    try:
        answer = subprocess.run(
            argv.words,
            env={**os.environ, "UV_NO_PROGRESS": "1", "NO_COLOR": "1", **(environment or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SupplyError(failing, detail=f"uv: {error}", hint=hint) from None
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or [f"uv ended with {answer.returncode}"]
        raise SupplyError(failing, detail="\n".join(said[-12:]), hint=hint)
    return answer.stdout
