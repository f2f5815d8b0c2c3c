"""References to secrets and what they stand for: `env:NAME` and `file:PATH`."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from fleet.control.inventory.project import Project
from fleet.errors import SupplyError
from fleet.vocabulary.secret import Secret

_LATER = ("keyring:", "op://", "sops:")
_LIMIT_BYTES = 64 * 1024


def resolve_secret(reference: str, project: Project, *, environ: Mapping[str, str] | None = None) -> Secret:
    """The secret itself. Raises SupplyError, which never shows it."""
    kind, _, rest = reference.partition(":")
    if kind == "env" and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
        value = (os.environ if environ is None else environ).get(rest, "")
        if not value:
            raise SupplyError(f"secret env:{rest}: {rest} is not set", hint=f"export {rest}=... before fleet is run")
        return Secret(value)
    if kind == "file" and rest:
        path = Path(rest).expanduser()
        return _from_file(reference, path if path.is_absolute() else project.root / path)
    if reference.startswith(_LATER):
        raise SupplyError(
            f"secret {reference}: {reference.split(':')[0]} references come with a later release",
            hint="until then: env:NAME or file:PATH",
        )
    raise SupplyError(
        "a secret is written as a reference, not as itself",
        detail="expected env:NAME or file:PATH; what is there is not shown",
        hint="put the value into a file of mode 0600 that git ignores, and name it: file:secrets/NAME",
    )


def _from_file(reference: str, path: Path) -> Secret:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SupplyError(f"secret {reference}: not a file")
            if status.st_mode & 0o077:
                raise SupplyError(
                    f"secret {reference}: others on this machine may read it (mode {status.st_mode & 0o777:04o})",
                    hint=f"chmod 600 {path}",
                )
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise SupplyError(f"secret {reference}: {(error.strerror or str(error)).lower()}", detail=str(path)) from None
    try:
        value = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SupplyError(f"secret {reference}: not UTF-8 text") from None
    if not value or len(content) > _LIMIT_BYTES:
        raise SupplyError(f"secret {reference}: {'empty' if not value else 'more than 64 KiB'}")
    return Secret(value)
