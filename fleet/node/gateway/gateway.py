"""The parts of one gateway, put together. No signals, no port: those are the service's."""

from __future__ import annotations

import aiohttp
from aiohttp import web

from fleet.node.gateway.app import Front
from fleet.node.gateway.attempts import Attempts
from fleet.node.gateway.call import Accounting, Admission, LiveCalls
from fleet.node.gateway.caller import HttpCaller
from fleet.node.gateway.catalogue import Catalogue
from fleet.node.gateway.nodebook import NodeBook
from fleet.node.gateway.probing import Prober
from fleet.node.gateway.relay import Relay
from fleet.node.gateway.reload import Current
from fleet.node.gateway.standings import Standings
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.config import GatewayConfig


class Gateway:
    """A gateway on a client session. `follow` starts it, and makes it follow a new configuration; `close` ends it."""

    def __init__(
        self, current: Current, session: aiohttp.ClientSession, *, admission: Admission, accounting: Accounting
    ) -> None:
        self._current = current
        self.calls = LiveCalls()
        self.upstreams = Upstreams(queue=self._config().queue, breaker=self._config().breaker)
        self.caller = caller = HttpCaller()
        self.nodebook = NodeBook(caller=caller, session=session, config=self._config)
        self.standings = Standings(self.nodebook, self.upstreams, config=self._config)
        self._prober = Prober(caller=caller, upstreams=self.upstreams, config=self._config)
        self.attempts = Attempts(caller=caller, upstreams=self.upstreams, admission=admission, config=self._config)
        relay = Relay(attempts=self.attempts, accounting=accounting, config=self._config)
        self._catalogue = Catalogue(caller=caller, config=self._config)
        self.front = Front(
            current=current,
            upstreams=self.upstreams,
            relay=relay,
            calls=self.calls,
            session=session,
            facts=self._catalogue.facts,
        )
        self.facts = self._catalogue.facts
        self.runner = _runner(self.front, self._config())

    def follow(self) -> None:
        """Use what the configuration of the moment names."""
        self.upstreams.follow(self._current.loaded)
        self.nodebook.follow(self._current.loaded)
        self.standings.follow()
        self._prober.follow()
        self._catalogue.follow(self.upstreams.live.values())

    async def close(self) -> None:
        """Stop probing and reading, and close every connection."""
        await self.nodebook.close()
        await self._prober.close()
        await self._catalogue.close()
        await self.runner.cleanup()
        self.caller.close()  # last: what is still answered gives its connection back

    def _config(self) -> GatewayConfig:
        return self._current.loaded.config


def new_session() -> aiohttp.ClientSession:
    """The one client session: no cap of its own (places on upstreams are the cap), nothing decompressed, no cookies."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _runner(front: Front, config: GatewayConfig) -> web.ServerRunner:
    """A handler is cancelled when its client leaves: that is how a generation ends (SPEC section 0, fact 8)."""
    server = web.Server(
        front.handle,
        handler_cancellation=True,
        access_log=None,
        keepalive_timeout=75.0,  # also for a connection that never sends a whole head
        max_field_size=config.limits.header_bytes,
        lingering_time=2.0,
    )
    return web.ServerRunner(server, shutdown_timeout=1.0)
