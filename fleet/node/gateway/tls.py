"""TLS on both sides: our own key and certificate towards clients, pinned keys towards edges."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp

from fleet.errors import ConfigError
from fleet.traffic.config import Listen
from fleet.vocabulary.pins import pin_matches, pin_of


class WrongKey(aiohttp.ClientConnectionError):
    """The peer has another key than the pinned one. Nothing has been sent to it."""


class PinnedKey(aiohttp.Fingerprint):
    """Checks the peer's public key right after the handshake: aiohttp sends no byte of a request before it.

    The certificate may be renewed under the same key. Names and dates in it mean nothing: the key is the identity.
    """

    def __init__(self, pin: str) -> None:
        super().__init__(bytes(32))
        self._pin = pin

    def check(self, transport: asyncio.Transport) -> None:
        """Raises WrongKey, also for a peer without TLS."""
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if not pin_matches(certificate, self._pin):
            transport.abort()  # a polite goodbye would keep the connection open for half a minute
            raise WrongKey(f"the peer's key is {_seen(certificate)}, pinned is {self._pin}")


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
