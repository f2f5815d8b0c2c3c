"""The file of a secret while it is changed: what comes lies beside it as `.next`, what went as `.previous`.

Every step is one rename, so a crash leaves a state that compiles: a key ring takes whatever of the three is there.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from fleet.control.desired.keys import NEXT, PREVIOUS
from fleet.control.inventory.secretrefs import FileRef, parse_secret_ref, path_of
from fleet.control.supply.secrets.digests import write_private
from fleet.control.supply.secrets.file import read_file
from fleet.errors import SupplyError, UsageError
from fleet.vocabulary.secret import Secret

_KEY_BYTES = 32
_ELSEWHERE = {
    "env": "export the new value",
    "keyring": "keyring set SERVICE NAME asks for the new value",
    "op": "change it in 1Password",
    "sops": "sops FILE opens it in your editor",
}


@dataclass(frozen=True)
class KeyFile:
    """The file of a `file:` reference. Every change raises SupplyError."""

    reference: str
    path: Path

    @property
    def next(self) -> Path:
        """Where the one to come lies."""
        return self.path.with_name(self.path.name + NEXT)

    @property
    def previous(self) -> Path:
        """Where the one that went lies."""
        return self.path.with_name(self.path.name + PREVIOUS)

    def propose(self, value: Secret) -> None:
        """Lay the new value beside the old one."""
        if value.reveal() == read_file(self.reference, self.path):
            raise UsageError(f"{self.reference}: the new value is the old one")
        self._write(self.next, value.reveal())

    def switch(self) -> None:
        """What was proposed takes the place; the old one lies beside it. Safe to do again."""
        old = read_file(self.reference, self.path)
        if self.next.exists():
            self._write(self.previous, old)
            try:
                self.next.replace(self.path)
                _make_last(self.path.parent)
            except OSError as error:
                raise self._cannot(error) from None

    def retire(self) -> None:
        """Forget the old value. Safe to do again."""
        try:
            self.previous.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot(error) from None

    def _write(self, path: Path, value: str) -> None:
        try:
            write_private(path, f"{value}\n".encode())
        except OSError as error:
            raise self._cannot(error) from None

    def _cannot(self, error: OSError) -> SupplyError:
        reason = (error.strerror or str(error)).lower()
        return SupplyError(f"secret {self.reference}: cannot be changed: {reason}", detail=str(self.path.parent))


def key_file(reference: str, root: Path, *, users: str) -> KeyFile:
    """The file of a reference; `users` is the selector of the nodes that use it. Raises UsageError for other kinds."""
    match parse_secret_ref(reference):
        case FileRef(path):
            return KeyFile(reference, path_of(path, root))
    kind = reference.partition(":")[0]
    raise UsageError(
        f"{reference} is kept by another program, which changes it",
        hint=f"{_ELSEWHERE[kind]}, then: fleet deploy --refresh-secrets --on '{users}'"
        "\n(a gateway's key changes without a gap only as file:PATH)",
    )


def new_key() -> Secret:
    """A key of 32 random bytes, as hex."""
    return Secret(secrets.token_hex(_KEY_BYTES))


def _make_last(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
