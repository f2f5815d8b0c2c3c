"""The upstreams of a running gateway: what we know of each now, and places on them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.engines import Engine, UpstreamFacts, engine
from fleet.node.gateway.config import Loaded
from fleet.traffic.choice import Choice, Readiness, UpstreamState, choose
from fleet.traffic.config import Limits, Route, Upstream
from fleet.vocabulary.names import Intent
from fleet.vocabulary.secret import Secret


@dataclass(eq=False)
class LiveUpstream:
    """One upstream with what was last proven of it. Times are monotonic seconds."""

    spec: Upstream
    engine: Engine
    key: Secret | None = None
    in_flight: int = 0
    readiness: Readiness = Readiness.UNKNOWN
    reason: str = "not proven yet"
    intent: Intent = Intent.SERVING
    failures: int = 0
    proven_at: float | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.spec.name

    def state(self) -> UpstreamState:
        """What choice must know."""
        return UpstreamState(
            name=self.spec.name,
            serves=self.spec.serves,
            in_flight=self.in_flight,
            max_in_flight=self.spec.max_in_flight,
            readiness=self.readiness,
            intent=self.intent,
            reason=self.reason,
        )

    def facts(self, limits: Limits) -> UpstreamFacts:
        """What the engine must know to shape a request."""
        return UpstreamFacts(
            model=self.spec.model,
            context_tokens=self.spec.context_tokens,
            default_max_tokens=limits.default_max_tokens,
        )

    def proved(self, now: float) -> None:
        """It answered."""
        self.readiness, self.reason, self.failures, self.proven_at = Readiness.READY, "", 0, now

    def failed(self, reason: str, *, out: bool, limit: int) -> None:
        """It did not answer. `out`, or `limit` failures in a row, take it out until a probe succeeds."""
        self.failures += 1
        self.reason = reason
        if out or self.failures >= limit:
            self.readiness = Readiness.DOWN
            self.changed.set()


class Upstreams:
    """All upstreams of the gateway, and the places on them.

    A place is taken at once or waited for; who waits too long, or finds too many waiting, is sent away.
    """

    def __init__(self, *, longest_queue: int = 256) -> None:
        self.live: Mapping[str, LiveUpstream] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._longest_queue = longest_queue

    def follow(self, loaded: Loaded) -> None:
        """Become the upstreams of `loaded`. One that did not change keeps all that is known of it, and its load."""
        live: dict[str, LiveUpstream] = {}
        for spec in loaded.config.upstreams:
            old, key = self.live.get(spec.name), loaded.upstream_keys.get(spec.name)
            if old is not None and old.spec == spec and old.key == key:
                live[spec.name] = old
                continue
            name = "edge" if spec.kind == "edge" else spec.engine
            live[spec.name] = LiveUpstream(spec=spec, engine=engine(name), key=key)
            if old is not None:
                live[spec.name].intent = old.intent
        self.live = live
        self.wake()

    def choose(self, route: Route, *, without: frozenset[str] = frozenset()) -> Choice:
        """Where a request of `route` may go now, leaving out what was tried already."""
        wanted = tuple(name for name in route.upstreams if name not in without)
        states = {name: self.live[name].state() for name in wanted if name in self.live}
        return choose(Route(name=route.name, upstreams=wanted, track=route.track), states)

    async def take(self, route: Route, *, without: frozenset[str], wait_seconds: float) -> LiveUpstream | Choice:
        """A place on the best upstream, or the choice that explains why there is none. Give it back with `leave`."""
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while True:
            choice = self.choose(route, without=without)
            if choice.attempts:
                upstream = self.live[choice.attempts[0]]
                upstream.in_flight += 1
                return upstream
            if not choice.full or not await self._room(deadline):
                return choice

    def leave(self, upstream: LiveUpstream) -> None:
        """Give a place back; who waits looks again, in the order of arrival."""
        upstream.in_flight -= 1
        self.wake()

    def wake(self) -> None:
        """Something changed: who waits looks again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _room(self, deadline: float) -> bool:
        loop = asyncio.get_running_loop()
        remaining = deadline - loop.time()
        if remaining <= 0 or len(self._waiting) >= self._longest_queue:
            return False
        future = loop.create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(remaining):
                await future
        except TimeoutError:
            return False
        finally:
            if future in self._waiting:
                self._waiting.remove(future)
        return True
