"""Posting notices to the webhook: one try. Whatever goes wrong, the address is in no message but for its host."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import aiohttp
import msgspec

import fleet
from fleet.node.gateway.frontwatch.outbox import NEVER_TAKEN
from fleet.node.gateway.tls import client_context
from fleet.vocabulary.contracts.notice import Notice
from fleet.vocabulary.secret import Secret

TRY_SECONDS = 10.0


class Became(StrEnum):
    """What became of one try."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Try:
    """One try. `problem` says why it failed; `after_seconds` is what the receiver asked to wait."""

    became: Became
    problem: str = ""
    after_seconds: float | None = None


class Poster:
    """Posts to one address. `shown` is what may be said of it."""

    def __init__(self, session: aiohttp.ClientSession, address: Secret, *, seconds: float = TRY_SECONDS) -> None:
        self._session = session
        self._address = address
        self._seconds = seconds
        self._tls = client_context(pinned=False)  # once: to read all authorities takes its time
        self.shown = shown(address)

    async def post(self, notice: Notice) -> Try:
        """Post one notice, once. A redirect is not followed: it would be told what only the receiver may know."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"fleet/{fleet.__version__}",
            "Idempotency-Key": notice.id,
        }
        try:
            async with asyncio.timeout(self._seconds):
                async with self._session.post(
                    self._address.reveal(),
                    data=msgspec.json.encode(notice),
                    headers=headers,
                    allow_redirects=False,
                    ssl=self._tls,
                ) as answer:
                    status, after = answer.status, answer.headers.get("Retry-After", "")
        except (TimeoutError, OSError, aiohttp.ClientError, ValueError) as error:
            return Try(became=Became.FAILED, problem=f"{self.shown}: {why(error)}")
        if 200 <= status < 300:
            return Try(became=Became.DELIVERED)
        problem = f"{self.shown} answered {status}"
        if status in NEVER_TAKEN:
            return Try(became=Became.REFUSED, problem=problem)
        waits = float(after) if after.isascii() and after.isdigit() and len(after) < 6 else None
        return Try(became=Became.FAILED, problem=problem, after_seconds=waits)


def shown(address: Secret) -> str:
    """What may be said of a secret address: scheme and host."""
    parts = urlsplit(address.reveal())
    return f"{parts.scheme}://{parts.hostname or ''}"


def why(error: Exception) -> str:
    """What went wrong, without the text of the error: that may quote the address."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLError() | aiohttp.ClientSSLError():
            return "no TLS with it"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ClientConnectorError():
            return "no connection"
        case _:
            return "the connection broke"
