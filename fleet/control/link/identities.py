"""What may be offered to a node: the inventory's key file, else what ssh_config says, else the usual files."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.control.link.certificates import PublicPart, parse_public

_USUAL = ("id_ed25519", "id_ecdsa", "id_rsa")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TOKEN = re.compile(r"%(.)")


@dataclass(frozen=True, kw_only=True)
class Identities:
    """Key files in order, certificates beside them, the agent, and whether other keys of the agent may be offered."""

    files: tuple[Path, ...]
    certificates: tuple[Path, ...] = ()
    agent_socket: str | None
    agent_keys: bool

    @classmethod
    def of(
        cls,
        key_file: str | None,
        ssh_config: Mapping[str, Any],
        *,
        home: Path,
        tokens: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Identities:
        """The node's own key file alone; else what ssh would offer. `tokens` are values of %-tokens of this node."""
        known = {**_own_tokens(home), **(tokens or {})}
        variables = os.environ if environment is None else environment
        sock = agent_socket(ssh_config.get("identityagent"), known, environment=variables)
        certificates = tuple(
            _path(name, known, environment=variables) for name in _texts(ssh_config.get("certificatefile"))
        )
        if key_file is not None:
            return cls(
                files=(Path(key_file).expanduser(),),
                certificates=certificates,
                agent_socket=sock,
                agent_keys=False,
            )
        named = tuple(_path(name, known, environment=variables) for name in _texts(ssh_config.get("identityfile")))
        only = str(ssh_config.get("identitiesonly", "no")).lower() == "yes"
        files = named or tuple(path for name in _USUAL if (path := home / ".ssh" / name).is_file())
        return cls(files=files, certificates=certificates, agent_socket=sock, agent_keys=not only)

    def certificates_of(self, path: Path) -> Iterable[tuple[str, PublicPart]]:
        """The certificates that may go with a key file: `KEY-cert.pub`, and all that ssh_config names."""
        own = path.with_name(path.name.removesuffix(".pub") + "-cert.pub")
        for place in dict.fromkeys((own, *self.certificates)):
            part = read_public(place)
            if part is not None and part.certificate:
                yield str(place), part


def agent_socket(configured: object, tokens: Mapping[str, str], *, environment: Mapping[str, str]) -> str | None:
    """Where the agent listens: IdentityAgent (`none`, `SSH_AUTH_SOCK`, `$NAME`, a path) or $SSH_AUTH_SOCK."""
    text = str(configured or "SSH_AUTH_SOCK").strip().strip('"')
    if text == "none":
        return None
    if text == "SSH_AUTH_SOCK":
        return environment.get("SSH_AUTH_SOCK") or None
    if re.fullmatch(r"\$[A-Za-z_][A-Za-z0-9_]*", text):
        return environment.get(text[1:]) or None
    return str(_path(text, tokens, environment=environment))


def expanded(text: str, tokens: Mapping[str, str], *, environment: Mapping[str, str]) -> str:
    """`text` with `~`, `${NAME}` and %-tokens as ssh reads them. What is not known stays as it is."""
    whole = _VARIABLE.sub(lambda match: environment.get(match[1], match[0]), text)
    whole = _TOKEN.sub(lambda match: tokens.get(match[1], match[0]), whole)
    if whole == "~" or whole.startswith("~/"):
        return f"{tokens['d']}{whole[1:]}"
    return whole if "\0" in whole else os.path.expanduser(whole)  # noqa: PTH111 (Path's own fails for a name unknown)


def public_of(path: Path) -> PublicPart | None:
    """The public key of a key file: `KEY.pub`, or the file itself where only that half is given (agents, 1Password)."""
    return read_public(path.with_name(path.name + ".pub")) or read_public(path)


def read_public(path: Path) -> PublicPart | None:
    """The public key or certificate of a file; None when there is none to read."""
    try:
        return parse_public(path.read_text())
    except (OSError, UnicodeDecodeError):
        return None


def _own_tokens(home: Path) -> dict[str, str]:
    local = socket.gethostname()
    return {
        "%": "%",
        "d": str(home),
        "i": str(os.getuid()),
        "l": local,
        "L": local.split(".")[0],
        "u": getpass.getuser(),
    }


def _path(name: str, tokens: Mapping[str, str], *, environment: Mapping[str, str]) -> Path:
    return Path(expanded(name.strip().strip('"'), tokens, environment=environment))


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value if str(item) != "none")  # type: ignore[attr-defined]
