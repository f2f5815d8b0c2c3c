"""A laptop with a secret of every kind, and what looks for them where they must not be."""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil

_SAMPLE_SECONDS = 0.05

_OP = """\
#!/bin/sh
case "$1" in
item) printf '[{"id": "hub", "title": "Hub", "version": %s}]' "$(cat "$VAULT/op.version")" ;;
read)
    cat "$VAULT/op"
    [ -e "$VAULT/op.fails" ] || exit 0
    cat "$VAULT/op" >&2
    echo ' the vault is on fire' >&2
    exit 1
    ;;
esac
"""
_SOPS = """\
#!/bin/sh
cat "$VAULT/sops"
"""
_KEYRING = """\
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class FromVault(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        return (Path(os.environ["VAULT"]) / "keyring").read_text()

    def set_password(self, service, username, password):
        raise NotImplementedError
"""


@dataclass(frozen=True)
class Laptop:
    """Values by kind; `environ` is what a `fleet` of this laptop runs with."""

    folder: Path
    values: dict[str, str] = field(default_factory=dict)
    old: list[str] = field(default_factory=list)

    @property
    def vault(self) -> Path:
        return self.folder / "vault"

    @property
    def environ(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder / "modules"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        return {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": path.rstrip(os.pathsep),
            "PYTHON_KEYRING_BACKEND": "planted_keyring.FromVault",
            "VAULT": str(self.vault),
            "TMPDIR": str(self.folder / "tmp"),
            "FLEET_CACHE": str(self.folder / "cache"),
            "PLANTED": self.values["env"],
        }

    @property
    def references(self) -> dict[str, str]:
        """A reference of every kind."""
        return {
            "env": "env:PLANTED",
            "file": f"file:{self.vault / 'file'}",
            "op": "op://Private/hub/token",
            "sops": f"sops:{self.folder / 'encrypted.yml'}#hub.token",
            "keyring": "keyring:fleet/hub",
        }

    def plant(self, kind: str) -> None:
        """A new value of that kind."""
        if kind in self.values:
            self.old.append(self.values[kind])
        value = self.values[kind] = f"planted-{kind}/{secrets.token_hex(12)}+&<"
        path = self.vault / kind
        path.write_text(value)
        path.chmod(0o600)
        (self.vault / "op.version").write_text(str(secrets.randbelow(10**9)))
        (self.folder / "encrypted.yml").write_text(f"hub: ENC[{secrets.token_hex(4)}]\n")

    @property
    def needles(self) -> tuple[bytes, ...]:
        """Every value that there ever was, as it is and as it may look in other clothes."""
        found: set[str] = set()
        for value in (*self.values.values(), *self.old):
            escaped = (json.dumps(value)[1:-1], quote(value), quote(value, safe=""), value.encode().hex())
            found |= {value, value.split("/")[1], *escaped, base64.b64encode(value.encode()).decode()}
        return tuple(one.encode() for one in found)

    def found_in(self, content: bytes) -> bool:
        return any(needle in content for needle in self.needles)

    def files_with(self, folders: Iterable[Path]) -> Iterator[Path]:
        """The files below these folders that hold a value, in their content or in their name."""
        for folder in folders:
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink() and self.found_in(path.read_bytes() + bytes(path)):
                    yield path


def a_laptop(folder: Path) -> Laptop:
    """A laptop with a value of every kind planted."""
    laptop = Laptop(folder)
    for name in ("vault", "bin", "modules", "tmp"):
        (folder / name).mkdir(parents=True)
    for name, text in (("bin/op", _OP), ("bin/sops", _SOPS), ("modules/planted_keyring.py", _KEYRING)):
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    for kind in ("env", "file", "op", "sops", "keyring"):
        laptop.plant(kind)
    return laptop


@contextmanager
def watched_argv(laptop: Laptop) -> Iterator[set[str]]:
    """Command lines of this machine that held a value, and how many different ones were seen (as `seen: N`)."""
    found, seen, over = set[str](), set[tuple[str, ...]](), threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            for process in psutil.process_iter(["cmdline"]):
                words = tuple(process.info["cmdline"] or ())
                if words not in seen:
                    seen.add(words)
                    if laptop.found_in("\0".join(words).encode()):
                        found.add(" ".join(words))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
        assert any("sync" in words for words in map(" ".join, seen))  # it did see the runs
