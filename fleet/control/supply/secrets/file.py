"""`file:PATH`: a file that only its owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fleet.control.supply.secrets.version import Version, file_version
from fleet.errors import SupplyError

_LIMIT_BYTES = 64 * 1024


def read_file(reference: str, path: Path) -> str:
    """Its text without the line ends at its end. Raises SupplyError."""
    try:
        with path.open("rb") as file:
            _require_private(reference, path, os.fstat(file.fileno()))
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise _unreadable(reference, path, error) from None
    try:
        value = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SupplyError(f"secret {reference}: not UTF-8 text") from None
    if not value or len(content) > _LIMIT_BYTES:
        raise SupplyError(f"secret {reference}: {'empty' if not value else 'more than 64 KiB'}")
    return value


def version_of_file(reference: str, path: Path) -> Version:
    """Its version. Raises SupplyError for what `read_file` would not read either."""
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(reference, path, error) from None
    _require_private(reference, path, status)
    return file_version(status)


def _require_private(reference: str, path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SupplyError(f"secret {reference}: not a file")
    if status.st_mode & 0o077:
        raise SupplyError(
            f"secret {reference}: others on this machine may read it (mode {status.st_mode & 0o777:04o})",
            hint=f"chmod 600 {path}",
        )


def _unreadable(reference: str, path: Path, error: OSError) -> SupplyError:
    return SupplyError(f"secret {reference}: {(error.strerror or str(error)).lower()}", detail=str(path))
