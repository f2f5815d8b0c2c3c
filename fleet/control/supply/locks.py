"""Hash locks of environments: `locks/NAME.in` says what is wanted, `locks/NAME.lock` what that is exactly."""

from __future__ import annotations

from pathlib import Path

from fleet.control.inventory.project import Project
from fleet.control.supply.uvtool import run_uv
from fleet.errors import UsageError

OLDEST_PYTHON = "3.11"


def write_lock(project: Project, name: str, *, upgrade: bool = False) -> Path:
    """Lock the project's `locks/NAME.in` for every system and Python that fleet may meet. Raises UsageError."""
    source = project.root / "locks" / f"{name}.in"
    if not source.is_file():
        known = ", ".join(sorted(path.stem for path in source.parent.glob("*.in"))) or "none"
        raise UsageError(
            f"locks/{name}.in is not in {project.root}",
            detail=f"there: {known}",
            hint=f"write what the env needs into it, a line each: mlx-lm>=0.32.2; then fleet env lock {name}",
        )
    lock = source.with_suffix(".lock")
    run_uv(
        *("pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"),
        *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
        *(["--upgrade"] if upgrade else []),
        *(source.name, "-o", lock.name),
        cwd=source.parent,
        failing=f"locks/{name}.in cannot be locked",
        hint="does every line name a package that exists for Python 3.11 and later?",
    )
    return lock
