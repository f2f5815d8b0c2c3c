"""`sops:FILE#KEY`: one value of a file that `sops` decrypts. Its version is that of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fleet.control.inventory.secretrefs import SopsRef
from fleet.control.supply.secrets.tool import Tool
from fleet.control.supply.secrets.version import Version, file_version
from fleet.errors import SupplyError

_DEADLINE_SECONDS = 30.0
_ADVICE = {
    "component": "look for the key's name: sops FILE opens the file in your editor",
    "not found in": "look for the key's name: sops FILE opens the file in your editor",
    "metadata not found": "the file is not encrypted: sops encrypt --in-place FILE",
    "data key": "none of your keys opens it: SOPS_AGE_KEY_FILE or gpg's agent has to hold one that does",
    "no identity": "none of your keys opens it: SOPS_AGE_KEY_FILE or gpg's agent has to hold one that does",
}


def read_sops(
    reference: str, ref: SopsRef, path: Path, environ: Mapping[str, str], *, deadline_seconds: float = _DEADLINE_SECONDS
) -> str:
    """The value. Raises SupplyError."""
    version_of_sops(reference, path)
    tool = Tool(name="sops", install="brew install sops", advice=_ADVICE, deadline_seconds=deadline_seconds)
    words = ["decrypt", "--extract", extract_words(ref.keys), str(path)]
    answer = tool.ask(words, about=f"secret {reference}", environ=environ)
    try:
        value = answer.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SupplyError(f"secret {reference}: not UTF-8 text") from None
    if not value:
        raise SupplyError(f"secret {reference}: empty")
    return value


def version_of_sops(reference: str, path: Path) -> Version:
    """The version of the encrypted file. Raises SupplyError when it is not there."""
    try:
        return file_version(path.stat())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SupplyError(f"secret {reference}: {reason}", detail=str(path)) from None


def extract_words(keys: tuple[str, ...]) -> str:
    """How `sops decrypt --extract` is told where a value lies."""
    return "".join(f"[{key}]" if key.isdigit() else f'["{key}"]' for key in keys)
