"""Asking a provider what it billed: `GET /generation` and `GET /key` of OpenRouter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from fleet.node.gateway.caller import Caller
from fleet.node.gateway.failures import UpstreamFailure
from fleet.node.gateway.ledger.cost import Counters, cost_of_generation, counters_of
from fleet.node.gateway.live_upstream import LiveUpstream

_ANSWER_BYTES = 64 * 1024
_CONNECT_SECONDS = 5.0
_COUNTING = frozenset(("openrouter",))
"""Engines whose provider can be asked."""


class ProviderAway(Exception):
    """It did not answer, or with nothing that can be read; the message says why to people."""


@dataclass(frozen=True)
class Account:
    """What one key of a provider is used for. `name` is made of the key, does not show it, and changes with it."""

    name: str
    upstreams: frozenset[str]


class Provider(Protocol):
    """What can be asked. Both raise ProviderAway."""

    def accounts(self) -> tuple[Account, ...]:
        """All that can be asked now."""
        ...

    async def billed(self, account: Account, generation: str) -> int | None:
        """What a generation cost, pico-dollars. None = the provider does not know it, or not yet."""
        ...

    async def counters(self, account: Account) -> Counters:
        """What the provider counted for the key."""
        ...


class CallingProvider:
    """Asks through the gateway's own client, with the upstream's own key. `live`: the upstreams of the moment."""

    def __init__(self, caller: Caller, live: Callable[[], Iterable[LiveUpstream]]) -> None:
        self._caller = caller
        self._live = live

    def accounts(self) -> tuple[Account, ...]:
        """See Provider."""
        found: dict[str, set[str]] = {}
        for one in self._live():
            if (name := _account(one)) is not None:
                found.setdefault(name, set()).add(one.name)
        return tuple(Account(name, frozenset(upstreams)) for name, upstreams in sorted(found.items()))

    async def billed(self, account: Account, generation: str) -> int | None:
        """See Provider."""
        status, body = await self._get(account, f"/v1/generation?id={quote(generation, safe='')}")
        if status == 404:
            return None
        cost = cost_of_generation(body) if status == 200 else None
        if cost is None:
            raise ProviderAway(f"the provider says nothing of a generation's cost (HTTP {status})")
        return cost

    async def counters(self, account: Account) -> Counters:
        """See Provider."""
        status, body = await self._get(account, "/v1/key")
        found = counters_of(body) if status == 200 else None
        if found is None:
            raise ProviderAway(f"the provider does not tell its counters (HTTP {status})")
        return found

    async def _get(self, account: Account, path: str) -> tuple[int, bytes]:
        upstream = next((one for one in self._live() if _account(one) == account.name), None)
        if upstream is None:
            raise ProviderAway("no upstream has this key any more")
        try:
            return await self._caller.get(upstream, path, longest_bytes=_ANSWER_BYTES, connect_seconds=_CONNECT_SECONDS)
        except UpstreamFailure as error:
            raise ProviderAway(f"the provider cannot be asked: {error}") from error


def _account(upstream: LiveUpstream) -> str | None:
    """A name for its key, where its provider can be asked."""
    spec = upstream.spec
    if spec.kind != "api" or spec.engine not in _COUNTING or upstream.key is None:
        return None
    return hashlib.sha256(f"{spec.url}\n{upstream.key.reveal()}".encode()).hexdigest()[:12]
