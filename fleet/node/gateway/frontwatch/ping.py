"""The dead man's ping: an address is asked while this front can serve. Its silence tells that the front is dead."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable

import aiohttp

import fleet
from fleet.node.gateway.frontwatch.post import shown, why
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.tls import client_context
from fleet.traffic.config import Listen
from fleet.vocabulary.secret import Secret

JITTER = 0.1
"""Two fronts that were started together do not ask together for ever."""
_FIRST_SECONDS = 5.0
_TRY_SECONDS = 10.0
_OWN_SECONDS = 5.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}

Able = Callable[[], Awaitable[bool]]


class Pinger:
    """Asks `address` every `seconds`, give or take. `ok`, `failed` and `withheld` count; nothing here is fatal."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        journal: Journal,
        *,
        chance: Callable[[], float] = random.random,
        first_seconds: float = _FIRST_SECONDS,
    ) -> None:
        self._session = session
        self._journal = journal
        self._chance = chance
        self._first_seconds = first_seconds
        self._tls: ssl.SSLContext | None = None
        self._was = "ok"
        self.ok = 0
        self.failed = 0
        self.withheld = 0

    async def run(self, address: Secret, *, seconds: float, able: Able) -> None:
        """Ask on and on. Never returns."""
        await asyncio.sleep(min(self._first_seconds, seconds) * (0.5 + 0.5 * self._chance()))
        while True:
            await self.once(address, able=able)
            await asyncio.sleep(gap(seconds, self._chance()))

    async def once(self, address: Secret, *, able: Able) -> None:
        """Ask, if this front can serve."""
        if not await able():
            self.withheld += 1
            self._say("withheld", "this front cannot serve now")
            return
        problem = await self._ask(address)
        if problem:
            self.failed += 1
            self._say("failed", problem)
        else:
            self.ok += 1
            self._say("ok", "")

    async def _ask(self, address: Secret) -> str:
        """What went wrong; "" = nothing did."""
        try:
            self._tls = self._tls or client_context(pinned=False)
            async with asyncio.timeout(_TRY_SECONDS):
                async with self._session.get(
                    address.reveal(),
                    headers={"User-Agent": f"fleet/{fleet.__version__}"},
                    allow_redirects=False,
                    ssl=self._tls,
                ) as answer:
                    status = answer.status
        except (TimeoutError, OSError, aiohttp.ClientError, ValueError) as error:
            return f"{shown(address)}: {why(error)}"
        return "" if status < 400 else f"{shown(address)} answered {status}"

    def _say(self, word: str, problem: str) -> None:
        """A change is told, not every ping."""
        if word != self._was:
            self._was = word
            tell = self._journal.event if word == "ok" else self._journal.warn
            tell("ping", now=word, problem=problem or None)


def gap(seconds: float, chance: float) -> float:
    """The time to the next ping: within JITTER of what was asked for. `chance` is from 0 to 1."""
    return seconds * (1 - JITTER + 2 * JITTER * chance)


async def serves(session: aiohttp.ClientSession, listen: Listen) -> bool:
    """Whether our own listener takes a connection and says that a request would be answered now.

    An operator's drain is no death: `drained=ok`. The certificate is our own, and nothing secret is sent.
    """
    host = _EVERYWHERE.get(listen.host, listen.host)
    scheme = "https" if listen.certificate_file is not None else "http"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{listen.port}/readyz?drained=ok"
    try:
        async with asyncio.timeout(_OWN_SECONDS):
            async with session.get(url, ssl=False, allow_redirects=False) as answer:
                return answer.status == 200
    except (TimeoutError, OSError, aiohttp.ClientError, ValueError):
        return False
