"""SSH host keys: pins, fingerprints, and the refusal of any other key before a credential is offered."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from pathlib import Path

import paramiko

from fleet.errors import HostKeyError


def fingerprint(key: str) -> str:
    """`SHA256:...` of `TYPE BASE64 [COMMENT]`, as ssh-keygen -l prints it. Raises ValueError."""
    words = key.split()
    if len(words) < 2:
        raise ValueError(f"not a public key: {key!r}")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error as error:
        raise ValueError(f"not a public key: {key!r}") from error
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def public_text(key: paramiko.PKey) -> str:
    """The key as a pin: `TYPE BASE64`."""
    return f"{key.get_name()} {key.get_base64()}"


def same_key(one: str, other: str) -> bool:
    """Whether two `TYPE BASE64 [COMMENT]` texts are one key."""
    return one.split()[:2] == other.split()[:2]


def key_types(pins: Iterable[str]) -> tuple[str, ...]:
    """The signature algorithms to ask for first, so that the server shows the key that is pinned."""
    wanted: list[str] = []
    for pin in pins:
        name = (pin.split() or [""])[0]
        wanted += ["rsa-sha2-512", "rsa-sha2-256"] if name == "ssh-rsa" else [name]
    return tuple(dict.fromkeys(wanted))


def known_keys(files: Iterable[Path], *, host: str, port: int) -> tuple[str, ...]:
    """What known_hosts files say of a host. An unreadable file or line says nothing."""
    name = host if port == 22 else f"[{host}]:{port}"
    found: list[str] = []
    for path in files:
        try:
            entries = paramiko.HostKeys(str(path)).lookup(name)
        except (OSError, paramiko.SSHException, ValueError):
            continue
        found += [public_text(key) for key in (entries or {}).values()]
    return tuple(dict.fromkeys(found))


class PinPolicy(paramiko.MissingHostKeyPolicy):
    """Accepts the pinned keys and nothing else. Paramiko asks it before authentication starts."""

    def __init__(self, pins: tuple[str, ...], *, node: str, where: str, jump: bool = False) -> None:
        self._pins = pins
        self._node = node
        self._where = where
        self._jump = jump

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002 (paramiko names them)
        """Raises HostKeyError unless `key` is pinned."""
        self.check(public_text(key))

    def check(self, shown: str) -> None:
        """Raises HostKeyError unless `shown` is pinned."""
        if any(same_key(pin, shown) for pin in self._pins):
            return
        raise self.refusal(_line(shown))

    def refusal(self, shown: str) -> HostKeyError:
        """The error for a key that is not pinned. `shown` is its line for people: `SHA256:... (ssh-ed25519)`."""
        return self._changed(shown) if self._pins else self._unknown(shown)

    def _unknown(self, shown: str) -> HostKeyError:
        what = "the jump host's SSH key is not known" if self._jump else "its SSH key is not pinned"
        hint = (
            f"log in once with ssh so that known_hosts has it: ssh {self._where.split()[0]}"
            if self._jump
            else f"fleet adopt {self._node} shows the fingerprint, asks, and pins it"
        )
        return HostKeyError(
            what,
            detail=f"at {self._where}\npinned: none\nshown:  {shown}\nno credential was offered",
            hint=hint,
            node=self._node,
            phase="connect",
        )

    def _changed(self, shown: str) -> HostKeyError:
        pinned = "\n".join(f"pinned: {_line(pin)}" for pin in self._pins)
        check = "compare on the machine itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
        hint = (
            f"{check}\nif it is right, correct the line in known_hosts"
            if self._jump
            else f"{check}\nif it is right: fleet adopt --rekey {self._node}"
        )
        what = "the jump host's SSH key" if self._jump else "its SSH key"
        return HostKeyError(
            f"{what} is not the pinned one",
            detail=(
                f"at {self._where}\n{pinned}\nshown:  {shown}\nno credential was offered\n"
                "likely: macOS was installed anew, another machine has this address now, or somebody sits in between"
            ),
            hint=hint,
            node=self._node,
            phase="connect",
        )


def _line(key: str) -> str:
    try:
        return f"{fingerprint(key)} ({key.split()[0]})"
    except ValueError:
        return f"unreadable ({key[:40]!r})"
