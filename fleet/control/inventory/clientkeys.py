"""keys.json beside the inventory: who may ask the fronts, by digests of their keys. One place, under version control.

Every front gets the same ring from it, so a key works at each of them and no front has to ask another. `fleet key`
writes the file; a person may edit it, since nothing in it is secret.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fleet.control.inventory.yamlsource import shown_path
from fleet.errors import InventoryError
from fleet.traffic.keyring import HashedKey, KeyLimits, KeyRing
from fleet.vocabulary.money import NotMoney, pico
from fleet.vocabulary.names import Track

FILE = "keys.json"
SCOPES = ("inference", "incident")
"""What a key of a client may be for; nodes and operators have the fleet key."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OURS = re.compile(r"(clients|fleet|metrics|agent)(-next|-previous)?")
_COUNTS = ("requests_per_minute", "tokens_per_minute", "concurrency", "monthly_tokens")


def load_client_keys(root: Path) -> KeyRing:
    """The keys of a project; none when there is no such file. Raises InventoryError."""
    path = root / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return KeyRing()
    except OSError as error:
        raise InventoryError(f"cannot be read: {error.strerror or error}", place=shown_path(path)) from error
    return parse_client_keys(content, place=shown_path(path))


def parse_client_keys(content: bytes, *, place: str) -> KeyRing:
    """The same from the file's bytes. Raises InventoryError."""
    try:
        ring = msgspec.json.decode(content, type=KeyRing)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "fleet key list shows it when it is right; git shows what changed"
        raise InventoryError(str(error), place=place, hint=hint) from error
    if ring.schema != 1:
        raise InventoryError(f"schema {ring.schema} is newer than this fleet", place=place, hint="update fleet")
    seen: dict[str, str] = {}
    for key in ring.keys:
        problem = problem_of(key)
        if key.sha256 in seen and not problem:
            problem = f"{seen[key.sha256]!r} has the same digest: they would be one key"
        if problem:
            raise InventoryError(f"key {key.name!r}: {problem}", place=place)
        seen[key.sha256] = key.name
    return ring


def problem_of(key: HashedKey) -> str:
    """What is wrong with a key, or nothing."""
    if not _NAME.fullmatch(key.name):
        return "a name has small letters, digits, dots and dashes, 64 at most"
    if _OURS.fullmatch(key.name):
        return "that name is of fleet's own keys"
    if not _DIGEST.fullmatch(key.sha256):
        return "sha256 is not the 64 hex digits of a digest"
    unknown = [one for one in key.scopes if one not in SCOPES]
    if unknown or "inference" not in key.scopes:
        return f"scopes are inference, and incident for who may spend in one; not {', '.join(unknown) or 'without it'}"
    unknown = [one for one in key.tracks if one not in tuple(Track)]
    if unknown:
        return f"there is no track {unknown[0]!r}: {', '.join(Track)}"
    return _problem_of_limits(key.limits)


def _problem_of_limits(limits: KeyLimits) -> str:
    for name in _COUNTS:
        count = getattr(limits, name)
        if count is not None and count < 0:
            return f"{name} is less than nothing"
    if limits.monthly_usd is not None:
        try:
            amount = pico(limits.monthly_usd)
        except NotMoney as error:
            return f"monthly_usd: {error}"
        if amount < 0:
            return "monthly_usd is less than nothing"
    return ""


@contextmanager
def keys_locked(root: Path) -> Iterator[None]:
    """Nobody else on this machine changes the file meanwhile. Raises InventoryError."""
    try:
        (root / ".fleet").mkdir(exist_ok=True)
        file = os.open(root / ".fleet" / "keys.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InventoryError(f"cannot be changed: {error.strerror or error}", place=shown_path(root / FILE)) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def write_client_keys(root: Path, ring: KeyRing) -> None:
    """Replace the file by `ring`, whole or not at all. Raises InventoryError."""
    path = root / FILE
    new = path.with_name(f".{FILE}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(ring_text(ring))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise InventoryError(f"cannot be written: {error.strerror or error}", place=shown_path(path)) from error


def ring_text(ring: KeyRing) -> str:
    """The file's text: what says nothing is left out, so that a difference in git is what changed."""
    keys = [_said(msgspec.to_builtins(key), msgspec.to_builtins(HashedKey(name="", sha256=""))) for key in ring.keys]
    return json.dumps({"schema": ring.schema, "keys": keys}, indent=2, ensure_ascii=False) + "\n"


def _said(values: dict[str, object], defaults: dict[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in values.items():
        default = defaults.get(name)
        if isinstance(value, dict) and isinstance(default, dict):
            inner = _said(value, default)
            if inner:
                found[name] = inner
        elif value != default:
            found[name] = value
    return found
