"""Pins of TLS public keys: `sha256//BASE64`, the form that curl's --pinnedpubkey takes. Standard library only.

The pin covers the SubjectPublicKeyInfo, so a certificate may be renewed under the same key without a new pin.
"""

from __future__ import annotations

import base64
import hashlib
import hmac


def _read(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start of content and end of the DER element at `at`. Raises ValueError."""
    if at + 2 > len(der):
        raise ValueError("truncated DER")
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or start + count > len(der):
            raise ValueError("bad DER length")
        length, start = int.from_bytes(der[start : start + count], "big"), start + count
    if start + length > len(der):
        raise ValueError("truncated DER")
    return tag, start, start + length


def public_key_info(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo (DER) of a DER certificate (RFC 5280 section 4.1). Raises ValueError."""
    _, at, _ = _read(certificate, 0)
    _, at, end = _read(certificate, at)
    if _read(certificate, at)[0] == 0xA0:  # version
        at = _read(certificate, at)[2]
    for _ in range(5):  # serial number, signature, issuer, validity, subject
        at = _read(certificate, at)[2]
    tag, _, stop = _read(certificate, at)
    if tag != 0x30 or stop > end:
        raise ValueError("not a certificate")
    return certificate[at:stop]


def pin_of(certificate: bytes) -> str:
    """The pin of a DER certificate. Raises ValueError."""
    return "sha256//" + base64.b64encode(hashlib.sha256(public_key_info(certificate)).digest()).decode()


def pin_matches(certificate: bytes | None, pin: str) -> bool:
    """Whether the peer's certificate carries the pinned key. Anything unreadable does not."""
    if not certificate:
        return False
    try:
        return hmac.compare_digest(pin_of(certificate), pin)
    except ValueError:
        return False
