"""TLS on both sides: our own key and certificate towards clients, pinned keys towards edges."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from fleet.errors import ConfigError
from fleet.traffic.config import Listen
from fleet.vocabulary.pins import pin_matches, pin_of

_MACOS_AUTHORITIES = Path("/etc/ssl/cert.pem")


class WrongKey(Exception):
    """The peer has another key than the pinned one. Nothing has been sent to it."""


def check_pin(transport: asyncio.BaseTransport | None, pin: str) -> None:
    """Right after the handshake, before any byte of a request. Raises WrongKey, also for a peer without TLS.

    The certificate may be renewed under the same key. Names and dates in it mean nothing: the key is the identity.
    """
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    if not pin_matches(certificate, pin):
        raise WrongKey(f"the peer's key is {_seen(certificate)}, pinned is {pin}")


def client_context(*, pinned: bool) -> ssl.SSLContext:
    """Towards an upstream: authorities and names are checked, unless a pinned key takes their place."""
    context = ssl.create_default_context()
    if pinned:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif not context.get_ca_certs() and _MACOS_AUTHORITIES.is_file():  # a standalone Python looks where it was built
        context.load_verify_locations(cafile=str(_MACOS_AUTHORITIES))
    return context


def _seen(certificate: bytes | None) -> str:
    if not certificate:
        return "absent"
    try:
        return pin_of(certificate)
    except ValueError:
        return "unreadable"


def server_context(listen: Listen) -> ssl.SSLContext | None:
    """The context of the listener, or None for plain HTTP. Raises ConfigError."""
    if listen.certificate_file is None or listen.key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_chain(context, listen)
    return context


def load_chain(context: ssl.SSLContext, listen: Listen) -> None:
    """Put the certificate and key of `listen` into `context`: new connections use them. Raises ConfigError."""
    if listen.certificate_file is None or listen.key_file is None:
        return
    try:
        context.load_cert_chain(listen.certificate_file, listen.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot use {listen.certificate_file} and {listen.key_file}: {error}",
            hint="`fleet adopt` makes both on the node",
        ) from error
