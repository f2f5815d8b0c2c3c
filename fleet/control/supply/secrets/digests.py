"""The memo of digests in PROJECT/.fleet/secrets.json: what a secret content was, by what it follows from.

A key is an HMAC under the node's salt over the recipe and the versions of its references, the value a keyed digest
with a size: what the state says anyway, never a secret. The file is 0600 all the same. Losing it costs one look at
every secret.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from fleet import __version__
from fleet.control.desired.sealed import Sealed
from fleet.control.supply.secrets.version import Version
from fleet.vocabulary.contracts.desired import Blob
from fleet.vocabulary.secret import hmac_digest

_LIMIT = 8192
_SEEN = "seen:"


class SecretDigests:
    """The memo of one run. `versions` are those of every reference that the run may use; `refresh` recalls nothing."""

    def __init__(self, path: Path, versions: Mapping[str, Version | None], *, refresh: bool = False) -> None:
        self._path = path
        self._versions = versions
        self._refresh = refresh
        self._lock = threading.Lock()
        self._known = _read(path)
        self._new: dict[str, list[object]] = {}

    def new_ones(self) -> tuple[str, ...]:
        """The references whose values this run needs anyway: never seen in this version, or without any."""
        return tuple(
            reference
            for reference, version in self._versions.items()
            if self._refresh or version is None or _seen(reference, version) not in self._known
        )

    def recall(self, sealed: Sealed, *, salt: str) -> Blob | None:
        """The blob of a content whose references are still what they were."""
        key = self._key(sealed, salt)
        found = None if key is None or self._refresh else self._known.get(key)
        match found:
            case [str() as digest, int() as size] if digest.startswith("hmac-sha256:"):
                return Blob(digest=digest, size=size)
        return None

    def remember(self, sealed: Sealed, blob: Blob, *, salt: str) -> None:
        """Keep what was found, for as long as the references stay what they are."""
        key = self._key(sealed, salt)
        if key is None:
            return
        with self._lock:
            self._new[key] = [blob.digest, blob.size]
            for reference in (*sealed.references, *sealed.held_against):
                version = self._versions[reference]
                if version is not None:
                    self._new[_seen(reference, version)] = []

    def save(self) -> None:
        """Write what is new. A folder that cannot be written costs work only."""
        if not self._new or all(self._known.get(key) == value for key, value in self._new.items()):
            return
        known = {key: value for key, value in {**_read(self._path), **self._known}.items() if key not in self._new}
        kept = dict([*known.items(), *self._new.items()][-_LIMIT:])
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_private(self._path, json.dumps({"schema": 1, "digests": kept}, indent=0).encode())

    def _key(self, sealed: Sealed, salt: str) -> str | None:
        references = (*sealed.references, *sealed.held_against)
        marks = [(one, version.mark if (version := self._versions.get(one)) else None) for one in references]
        if any(mark is None for _, mark in marks):
            return None
        return hmac_digest(salt, json.dumps([__version__, sealed.recipe, marks]).encode())


def write_private(path: Path, content: bytes) -> None:
    """A file of mode 0600, whole or not at all. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from its first moment
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _seen(reference: str, version: Version) -> str:
    return _SEEN + hashlib.sha256(json.dumps([reference, version.mark]).encode()).hexdigest()


def _read(path: Path) -> dict[str, list[object]]:
    """What is remembered. Unreadable or foreign is nothing. Total."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    digests = found.get("digests") if isinstance(found, dict) and found.get("schema") == 1 else None
    if not isinstance(digests, dict):
        return {}
    return {key: value for key, value in digests.items() if isinstance(value, list)}
