"""Whom we say we are: each identity is offered once, the one that worked last first.

Private keys stay in the agent where they are there. Everything that was tried is remembered for the error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from fleet.control.link.agent import AgentAt
from fleet.control.link.certificates import PublicPart, parse_blob
from fleet.control.link.identities import Identities, public_of, read_public
from fleet.control.link.keymemory import KeyMemory
from fleet.errors import AuthError


class HungUp(AuthError):
    """The server hung up before every key was offered (its MaxAuthTries): a new connection may offer the rest."""


@dataclass(frozen=True)
class _Offer:
    name: str
    part: PublicPart
    key: paramiko.PKey


@dataclass
class Authenticator:
    """paramiko's `auth_strategy`, for one login: a second connection goes on where the first was ended.

    `key_fingerprint` is that of the accepted key, once there is one.
    """

    user: str
    identities: Identities
    node: str
    where: str
    memory: KeyMemory
    tried: list[str] = field(default_factory=list)
    key_fingerprint: str | None = None
    _spent: set[bytes] = field(default_factory=set)

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Returns when the server accepted a key. Raises AuthError; HungUp when keys are left."""
        agent = self._agent()
        try:
            offers = self._ordered(agent)
            for number, offer in enumerate(offers):
                if not transport.is_active():
                    raise self._refused(HungUp, "the server hung up before every key was offered")
                self._spent.add(offer.part.blob)
                if self._accepted(transport, offer):
                    self.key_fingerprint = offer.part.fingerprint
                    if number or len(offers) > 1 or self.tried:
                        self.memory.remember(self._login, offer.part.fingerprint)
                    return
        finally:
            if agent is not None:
                agent.close()
        raise self._refused(AuthError, f"{self.where} refused {self.user}")

    @property
    def _login(self) -> str:
        return f"{self.user}@{self.where}"

    def _ordered(self, agent: AgentAt | None) -> list[_Offer]:
        """What was not offered yet, each once: what worked last here, then as ssh does."""
        found: dict[bytes, _Offer] = {}
        for offer in self._offers(agent):
            found.setdefault(offer.part.blob, offer)
        offers = [offer for offer in found.values() if offer.part.blob not in self._spent]
        last = self.memory.recall(self._login) if len(offers) > 1 else None
        return sorted(offers, key=lambda offer: offer.part.fingerprint != last)

    def _refused(self, kind: type[AuthError], what: str) -> AuthError:
        return kind(
            what,
            detail="\n".join(["tried:", *(f"  {line}" for line in self.tried)]) if self.tried else "there was no key",
            hint=(
                f"does `ssh {self.user}@{self.where.split()[0]}` work? The public key belongs in\n"
                f"~{self.user}/.ssh/authorized_keys on the node; `ssh_user` and `ssh_key_file` say who and with what"
            ),
            node=self.node,
            phase="connect",
        )

    def _accepted(self, transport: paramiko.Transport, offer: _Offer) -> bool:
        try:
            more = transport.auth_publickey(self.user, offer.key)
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
            ended = "" if transport.is_active() else ", and the server hung up"
            self.tried.append(f"{offer.name}: {'refused' if ended else _reason(error)}{ended}")
            return False
        if more:
            self.tried.append(f"{offer.name}: accepted, but the server also wants {' or '.join(more)}")
            return False
        return True

    def _agent(self) -> AgentAt | None:
        if self.identities.agent_socket is None:
            return None
        try:
            return AgentAt(self.identities.agent_socket)
        except (OSError, paramiko.SSHException) as error:
            self._note(f"agent at {self.identities.agent_socket}: {_reason(error)}")
            return None

    def _offers(self, agent: AgentAt | None) -> Iterator[_Offer]:
        """The files' keys, each behind its certificates, then what else the agent holds."""
        held = agent.held() if agent is not None else ()
        for path in self.identities.files:
            public = public_of(path)
            mine = [one for one in held if public is not None and one[0].key == public.key]
            for part, _, signer in sorted(mine, key=lambda one: not one[0].certificate):
                if not self._security_key(part, f"{path} (in the agent)"):
                    yield from self._certified(path, part, signer, place=f"{path} (in the agent)")
            if mine:
                continue
            key = self._load(path)
            found = parse_blob(key.asbytes()) if key is not None else None
            if key is not None and found is not None:
                yield from self._certified(path, found, key, place=str(path))
        for part, comment, signer in held if self.identities.agent_keys else ():
            name = f"agent's {part.kind} {comment}".rstrip()
            if not self._security_key(part, name):
                yield _Offer(name, part, signer)

    def _certified(self, path: Path, part: PublicPart, key: paramiko.PKey, *, place: str) -> Iterator[_Offer]:
        """A key behind the certificates that are made for it."""
        for name, certificate in self.identities.certificates_of(path) if not part.certificate else ():
            if certificate.key == part.key:
                blob = paramiko.pkey.PublicBlob(certificate.kind, certificate.blob)
                yield _Offer(f"{place} with {name}", certificate, _Vouched(key, blob))
        yield _Offer(place, part, key)

    def _security_key(self, part: PublicPart, name: str) -> bool:
        if part.security_key:
            self._note(f"{name}: skipped (a security key wants `link: openssh` in the inventory)")
        return part.security_key

    def _load(self, path: Path) -> paramiko.PKey | None:
        public = public_of(path)
        if public is not None and self._security_key(public, str(path)):
            return None
        if not path.is_file() or (public is not None and read_public(path) is not None):
            self._note(f"{path}: {'its private half is not in the agent' if public is not None else 'no such file'}")
            return None
        try:
            key = paramiko.PKey.from_path(path)
            key.public_blob = None  # it took a KEY-cert.pub on the way, and the bare key could not be offered any more
            return key
        except (paramiko.PasswordRequiredException, TypeError):  # cryptography says it by a TypeError
            self._note(f"{path}: has a passphrase and is not in the agent (ssh-add {path})")
        except (paramiko.SSHException, OSError, ValueError, paramiko.pkey.UnknownKeyType) as error:
            self._note(f"{path}: cannot be read ({_reason(error)})")
        return None

    def _note(self, line: str) -> None:
        if line not in self.tried:  # a second connection looks again
            self.tried.append(line)


class _Vouched(paramiko.PKey):
    """A key that is shown with a certificate. The same key may be offered without one: it is not changed itself."""

    def __init__(self, key: paramiko.PKey, certificate: paramiko.pkey.PublicBlob) -> None:
        self._key = key
        self.public_blob = certificate

    def get_name(self) -> str:
        """The bare key's type."""
        return self._key.get_name()

    def asbytes(self) -> bytes:
        """The bare key."""
        return self._key.asbytes()

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        """By the bare key."""
        return self._key.sign_ssh_data(data, algorithm)


def _reason(error: BaseException) -> str:
    if isinstance(error, paramiko.AuthenticationException):
        return "refused" if "Authentication failed" in str(error) else str(error).rstrip(".").lower()
    return str(error).rstrip(".") or type(error).__name__
