"""`op://VAULT/ITEM/FIELD`: 1Password, by its own program.

One item's `op read` costs a second and may ask for a finger, so versions come from one `op item list` per vault: it
names every item's version and none of its values (`op item get` would bring the values along).
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from datetime import datetime

from fleet.control.inventory.secretrefs import OnePasswordRef
from fleet.control.supply.secrets.tool import Tool
from fleet.control.supply.secrets.version import Version
from fleet.errors import SupplyError

_DEADLINE_SECONDS = 60.0
_INSTALL = "brew install 1password-cli, then op signin"
_LOCKED = {
    "not currently signed in": "op signin",
    "not signed in": "op signin",
    "session expired": "op signin",
    "no accounts configured": "op account add, or switch on the integration with the app, then op signin",
    "authorization": "unlock 1Password and allow it, then try again",
}
_WRONG = {
    "isn't a vault": "look for the vault's name: op vault list",
    "isn't an item": "look for the item's name: op item list",
    "could not find item": "look for the item's name: op item list",
    "does not have a field": "look for the field's name: op item get ITEM",
}


class OnePassword:
    """Asks `op`. The first call is alone, so that a locked 1Password asks once; what it refuses is refused to all."""

    def __init__(self, environ: Mapping[str, str], *, deadline_seconds: float = _DEADLINE_SECONDS) -> None:
        self._environ = environ
        self._tool = Tool(
            name="op",
            install=_INSTALL,
            advice={**_LOCKED, **_WRONG},
            deadline_seconds=deadline_seconds,
        )
        self._first = threading.Lock()
        self._opened = threading.Event()
        self._refused: SupplyError | None = None
        self._vaults: dict[str, dict[str, Version]] = {}
        self._vault_locks: dict[str, threading.Lock] = {}

    def read(self, ref: OnePasswordRef) -> str:
        """The value. Raises SupplyError."""
        answer = self._ask(["read", "--no-newline", ref.text], about=f"secret {ref.text}")
        try:
            value = answer.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise SupplyError(f"secret {ref.text}: not UTF-8 text") from None
        if not value:
            raise SupplyError(f"secret {ref.text}: empty")
        return value

    def version(self, ref: OnePasswordRef) -> Version | None:
        """The version of its item; None when the vault's list does not name it clearly. Raises SupplyError."""
        with self._first:
            lock = self._vault_locks.setdefault(ref.vault, threading.Lock())
        with lock:
            if ref.vault not in self._vaults:
                words = ["item", "list", "--vault", ref.vault, "--format", "json"]
                self._vaults[ref.vault] = versions_in(self._ask(words, about=f"vault {ref.vault} of 1Password"))
        return self._vaults[ref.vault].get(ref.item.lower())

    def _ask(self, words: list[str], *, about: str) -> bytes:
        with self._first if not self._opened.is_set() else contextlib.nullcontext():
            if self._refused is not None:
                raise SupplyError(f"{about}: {self._refused.title.partition(': ')[2]}", hint=self._refused.hint)
            if not self._opened.is_set():
                return self._open(words, about)
        return self._tool.ask(words, about=about, environ=self._environ)

    def _open(self, words: list[str], about: str) -> bytes:
        try:
            answer = self._tool.ask(words, about=about, environ=self._environ)
        except SupplyError as error:
            if error.hint in (_INSTALL, self._tool.waited, *_LOCKED.values()):
                self._refused = error
            raise
        self._opened.set()
        return answer


def versions_in(listed: bytes) -> dict[str, Version]:
    """Lower-case titles and ids of `op item list` -> their versions. Titles that two items have are left out. Total."""
    try:
        items = json.loads(listed)
    except ValueError:
        return {}
    found: dict[str, Version | None] = {}
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict) or not isinstance(item.get("version"), int):
            continue
        version = Version(f"{item.get('id')}:{item['version']}:{item.get('updated_at')}", _seconds(item))
        for name in (item.get("id"), item.get("title")):
            if isinstance(name, str):
                found[name.lower()] = None if name.lower() in found else version
    return {name: version for name, version in found.items() if version is not None}


def _seconds(item: Mapping[str, object]) -> float | None:
    try:
        return datetime.fromisoformat(str(item.get("updated_at"))).timestamp()
    except ValueError:
        return None
