"""What a built archive depends on, so that it is made once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fleet.control.desired.needs import NPM_LOCK
from fleet.control.desired.supplies import ArchiveNeed
from fleet.control.supply.platforms import machine_of
from fleet.vocabulary.contracts.codec import digest_of

_RECIPE = 1
"""Counts up when the same pin would give other bytes."""


def archive_key(need: ArchiveNeed) -> str:
    """64 hex digits over everything that the folder depends on."""
    built = [need.platform, machine_of(need.platform)] if need.npm and need.platform else []
    return digest_of([_RECIPE, need.sha256, need.strip, need.npm, built])


def npm_digest(folder: Path) -> str:
    """What package.json and the lock hash to together."""
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in NPM_LOCK)).hexdigest()
