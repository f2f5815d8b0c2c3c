"""Whom we say we are: the node's key file, else ssh_config's identities, the agent's keys, the usual files.

Private keys stay in the agent where they are there. Everything that was tried is remembered for the error.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentKey, AgentSSH

from fleet.errors import AuthError

_USUAL = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True, kw_only=True)
class Identities:
    """What may be offered: key files in order, and whether other keys of the agent may be."""

    files: tuple[Path, ...]
    agent_socket: str | None
    agent_keys: bool

    @classmethod
    def of(cls, key_file: str | None, ssh_config: dict[str, Any], *, home: Path) -> Identities:
        """The node's own key file alone; else what ssh would offer (IdentitiesOnly, IdentityAgent understood)."""
        configured = str(ssh_config.get("identityagent") or "SSH_AUTH_SOCK").strip('"')
        sock = os.environ.get("SSH_AUTH_SOCK") if configured == "SSH_AUTH_SOCK" else configured
        if sock == "none":
            sock = None
        sock = str(Path(sock).expanduser()) if sock else None
        if key_file is not None:
            return cls(files=(Path(key_file).expanduser(),), agent_socket=sock, agent_keys=False)
        named = tuple(Path(name.strip('"')).expanduser() for name in ssh_config.get("identityfile", ()))
        only = str(ssh_config.get("identitiesonly", "no")).lower() == "yes"
        files = named or tuple(path for name in _USUAL if (path := home / ".ssh" / name).is_file())
        return cls(files=files, agent_socket=sock, agent_keys=not only)


class _AgentAt(AgentSSH):
    """The agent behind a socket: paramiko's own Agent knows only SSH_AUTH_SOCK."""

    def __init__(self, path: str) -> None:
        super().__init__()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(60)  # a person may have to touch a sensor
        try:
            sock.connect(path)
            self._connect(sock)  # type: ignore[attr-defined] # the stubs lack it
        except BaseException:
            sock.close()
            raise

    def close(self) -> None:
        """Leave the agent."""
        self._close()  # type: ignore[attr-defined] # the stubs lack it


@dataclass
class Authenticator:
    """paramiko's `auth_strategy`: offers each identity once. Made for one connection."""

    user: str
    identities: Identities
    node: str
    where: str
    tried: list[str] = field(default_factory=list)

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Returns when the server accepted a key. Raises AuthError."""
        agent = self._agent()
        try:
            for name, key in self._offers(agent):
                if not transport.is_active():
                    self.tried.append("then the server hung up (too many keys: set `ssh_key_file`)")
                    break
                if self._accepted(transport, name, key):
                    return
        finally:
            if agent is not None:
                agent.close()
        raise AuthError(
            f"{self.where} refused {self.user}",
            detail="\n".join(["tried:", *(f"  {line}" for line in self.tried)]) if self.tried else "there was no key",
            hint=(
                f"does `ssh {self.user}@{self.where.split()[0]}` work? The public key belongs in\n"
                f"~{self.user}/.ssh/authorized_keys on the node; `ssh_user` and `ssh_key_file` say who and with what"
            ),
            node=self.node,
            phase="connect",
        )

    def _accepted(self, transport: paramiko.Transport, name: str, key: paramiko.PKey) -> bool:
        try:
            more = transport.auth_publickey(self.user, key)
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
            self.tried.append(f"{name}: {_reason(error)}")
            return False
        if more:
            self.tried.append(f"{name}: accepted, but the server also wants {' or '.join(more)}")
            return False
        return True

    def _agent(self) -> _AgentAt | None:
        if self.identities.agent_socket is None:
            return None
        try:
            return _AgentAt(self.identities.agent_socket)
        except (OSError, paramiko.SSHException) as error:
            self.tried.append(f"agent at {self.identities.agent_socket}: {_reason(error)}")
            return None

    def _offers(self, agent: _AgentAt | None) -> Iterator[tuple[str, paramiko.PKey]]:
        held: list[AgentKey] = list(agent.get_keys()) if agent is not None else []
        offered: set[bytes] = set()
        for path in self.identities.files:
            public = _public_blob(path)
            match = next((key for key in held if public is not None and key.asbytes() == public), None)
            key = match or self._load(path)
            if key is not None and key.asbytes() not in offered:
                offered.add(key.asbytes())
                yield (f"{path} (in the agent)" if match else str(path)), key
        for agent_key in held if self.identities.agent_keys else ():
            name = f"agent's {agent_key.get_name()} {getattr(agent_key, 'comment', '')}".rstrip()
            if agent_key.get_name().startswith("sk-"):
                self.tried.append(f"{name}: skipped (security keys come with `link: openssh`, a later release)")
            elif agent_key.asbytes() not in offered:
                offered.add(agent_key.asbytes())
                yield name, agent_key

    def _load(self, path: Path) -> paramiko.PKey | None:
        if not path.is_file():
            self.tried.append(f"{path}: no such file")
            return None
        try:
            return paramiko.PKey.from_path(path)
        except (paramiko.PasswordRequiredException, TypeError):  # cryptography says it by a TypeError
            self.tried.append(f"{path}: has a passphrase and is not in the agent (ssh-add {path})")
        except (paramiko.SSHException, OSError, ValueError, paramiko.pkey.UnknownKeyType) as error:
            self.tried.append(f"{path}: cannot be read ({_reason(error)})")
        return None


def _public_blob(path: Path) -> bytes | None:
    """The key of PATH.pub, in wire form; None when there is none to read."""
    import base64
    import binascii

    try:
        return base64.b64decode(path.with_name(path.name + ".pub").read_text().split()[1], validate=True)
    except (OSError, IndexError, binascii.Error, UnicodeDecodeError):
        return None


def _reason(error: BaseException) -> str:
    if isinstance(error, paramiko.AuthenticationException):
        return "refused" if "Authentication failed" in str(error) else str(error).rstrip(".").lower()
    return str(error).rstrip(".") or type(error).__name__
