"""References to secrets, parsed once into a closed union. Pure: nothing is looked up here.

env:NAME                        a variable of the environment of `fleet`
file:PATH                       a file of mode 0600, relative to the project
keyring:SERVICE/NAME            the system's keyring; on a Mac the login keychain
op://VAULT/ITEM/[SECTION/]FIELD 1Password, asked by its own program `op`
sops:FILE#KEY                   one value of a file that `sops` decrypts; KEY is `a.b.0` for a value that lies deeper
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import SupplyError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMS = "env:NAME, file:PATH, keyring:SERVICE/NAME, op://VAULT/ITEM/FIELD or sops:FILE#KEY"


@dataclass(frozen=True)
class EnvRef:
    """A variable of the environment."""

    name: str


@dataclass(frozen=True)
class FileRef:
    """A file; relative to the project when it is not absolute."""

    path: str


@dataclass(frozen=True)
class KeyringRef:
    """An entry of the system's keyring."""

    service: str
    name: str


@dataclass(frozen=True)
class OnePasswordRef:
    """A field of an item of a vault; `text` is the reference as `op read` takes it."""

    text: str
    vault: str
    item: str


@dataclass(frozen=True)
class SopsRef:
    """A value of an encrypted file, by the keys that lead to it; a number counts in a list."""

    path: str
    keys: tuple[str, ...]


SecretRef = EnvRef | FileRef | KeyringRef | OnePasswordRef | SopsRef


def parse_secret_ref(text: str) -> SecretRef:
    """The reference of `text`. Raises SupplyError, which never shows what may be a secret itself."""
    kind, _, rest = text.partition(":")
    printable = text.isprintable() and rest == rest.strip()
    if kind in _PARSERS and rest and printable:
        found = _PARSERS[kind](rest)
        if found is not None:
            return found
        raise SupplyError(
            f"a secret is written as a reference: what begins with {kind}: is not one of that kind",
            detail=f"expected {_FORMS}; what is there is not shown",
        )
    raise SupplyError(
        "a secret is written as a reference, not as itself",
        detail=f"expected {_FORMS}; what is there is not shown",
        hint="put the value into a file of mode 0600 that git ignores, and name it: file:secrets/NAME",
    )


def path_of(path: str, root: Path) -> Path:
    """Where the file of a reference lies; `root` is the project's folder."""
    found = Path(path).expanduser()
    return found if found.is_absolute() else root / found


def _env(rest: str) -> SecretRef | None:
    return EnvRef(rest) if _NAME.fullmatch(rest) else None


def _file(rest: str) -> SecretRef | None:
    return FileRef(rest)


def _keyring(rest: str) -> SecretRef | None:
    service, _, name = rest.rpartition("/")
    return KeyringRef(service, name) if service and name else None


def _op(rest: str) -> SecretRef | None:
    parts = rest.removeprefix("//").split("/")
    if not rest.startswith("//") or len(parts) not in (3, 4) or not all(parts):
        return None
    return OnePasswordRef(f"op:{rest}", vault=parts[0], item=parts[1])


def _sops(rest: str) -> SecretRef | None:
    path, _, key = rest.partition("#")
    keys = tuple(key.split("."))
    odd = any(not part or set(part) & set("\"'[]\\") for part in keys)
    return None if not path or odd else SopsRef(path, keys)


_PARSERS = {"env": _env, "file": _file, "keyring": _keyring, "op": _op, "sops": _sops}
