"""The SSH agent behind a socket: paramiko's own Agent knows only $SSH_AUTH_SOCK, and no certificate without its key."""

from __future__ import annotations

import socket

import paramiko
from paramiko.agent import AgentKey, AgentSSH

from fleet.control.link.certificates import PublicPart, parse_blob

_TOUCH_SECONDS = 60.0
"""A person may have to touch a sensor, or to unlock the agent."""


class AgentAt(AgentSSH):
    """A connection with an agent. Raises OSError and SSHException."""

    def __init__(self, path: str) -> None:
        super().__init__()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_TOUCH_SECONDS)
        try:
            sock.connect(path)
            self._connect(sock)  # type: ignore[attr-defined] # the stubs lack it
        except BaseException:
            sock.close()
            raise

    def held(self) -> tuple[tuple[PublicPart, str, paramiko.PKey], ...]:
        """What the agent holds, in its order: the public part, its comment, and the key that signs."""
        found = []
        for key in self.get_keys():
            part = parse_blob(key.blob)
            if part is not None:
                signer = _Certificate(self, part) if part.certificate else key
                found.append((part, str(getattr(key, "comment", "")), signer))
        return tuple(found)

    def close(self) -> None:
        """Leave the agent."""
        self._close()  # type: ignore[attr-defined] # the stubs lack it


class _Certificate(AgentKey):
    """A certificate that the agent holds. It is asked for by its own blob: the bare key may not be there."""

    def __init__(self, agent: AgentSSH, part: PublicPart) -> None:
        super().__init__(agent, part.blob)
        self.public_blob = paramiko.pkey.PublicBlob(part.kind, part.blob)  # type: ignore[assignment] # stubs: None

    def asbytes(self) -> bytes:
        """The certificate, as the agent knows it."""
        return self.blob
