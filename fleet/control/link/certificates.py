"""OpenSSH certificates and public keys as the bytes that go over the wire. Standard library only, pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

_SUFFIX = "-cert-v01@openssh.com"
_KEY_FIELDS = {"ssh-ed25519": 1, "ssh-rsa": 2}
"""How many fields of a certificate, behind its nonce, are the public key's own; ECDSA has two."""


@dataclass(frozen=True)
class PublicPart:
    """A public key or certificate: its type, the whole blob, and the blob of the bare key."""

    kind: str
    blob: bytes
    key: bytes

    @property
    def certificate(self) -> bool:
        """Whether a CA signed it."""
        return self.kind.endswith(_SUFFIX)

    @property
    def security_key(self) -> bool:
        """Whether it lives in a piece of hardware that wants a touch (FIDO)."""
        return self.kind.startswith("sk-")

    @property
    def fingerprint(self) -> str:
        """`SHA256:...` of the bare key, as sshd logs it for certificates, too."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.key).digest()).decode().rstrip("=")


def parse_public(text: str) -> PublicPart | None:
    """A line `TYPE BASE64 [COMMENT]`, as in `KEY.pub`; None when it is none."""
    words = text.split()
    try:
        return parse_blob(base64.b64decode(words[1], validate=True))
    except (IndexError, binascii.Error):
        return None


def parse_blob(blob: bytes) -> PublicPart | None:
    """What an agent or a file holds; None when it is no key. A kind that is not known is its own bare key."""
    kind_bytes, rest = _string(blob)
    if kind_bytes is None or not kind_bytes.isascii():
        return None
    kind = kind_bytes.decode("ascii")
    if not kind.endswith(_SUFFIX) or kind.startswith("sk-"):
        return PublicPart(kind, blob, blob)
    base = kind.removesuffix(_SUFFIX)
    _, rest = _string(rest)  # the nonce
    key = _pack(base.encode())
    for _ in range(_KEY_FIELDS.get(base, 2)):
        field, rest = _string(rest)
        if field is None:
            return None
        key += _pack(field)
    return PublicPart(kind, blob, key)


def _string(data: bytes) -> tuple[bytes | None, bytes]:
    if len(data) < 4:
        return None, b""
    (size,) = struct.unpack(">I", data[:4])
    return (data[4 : 4 + size], data[4 + size :]) if 4 + size <= len(data) else (None, b"")


def _pack(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
