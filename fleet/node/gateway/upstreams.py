"""The upstreams of a running gateway, and who gets a place on which: at once, or in fair order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from fleet.engines import engine
from fleet.node.gateway.config import Loaded
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.places import Place
from fleet.traffic.avoided import Avoided, avoided
from fleet.traffic.choice import Choice, UpstreamState, choose
from fleet.traffic.config import Breaker, Queue, Route
from fleet.traffic.dialects.dialect import Asked
from fleet.traffic.estimate import TokenRatio
from fleet.traffic.fair_queue import FairQueue
from fleet.traffic.prefix import CHUNK_BYTES, chain_of, session_of
from fleet.traffic.wellness import Standing
from fleet.traffic.work import Shape, Work
from fleet.vocabulary.names import Lane

__all__ = ["LiveUpstream", "Place", "Upstreams"]

_ANY = Shape()
_NOT_BEFORE_SECONDS = 0.005


class Asking(Protocol):
    """What a request for a place says of itself: a Call, for one."""

    @property
    def route(self) -> Route:
        """Where it may go."""
        ...

    @property
    def shape(self) -> Shape:
        """How large it is."""
        ...

    @property
    def key(self) -> str:
        """Whose it is."""
        ...


class _Waiter:
    """A request without a place yet. Its future gets a place, or the choice that says why there will be none."""

    __slots__ = ("asking", "future", "without")

    def __init__(self, asking: Asking, without: frozenset[str]) -> None:
        self.asking = asking
        self.without = without
        self.future: asyncio.Future[Place | Choice] = asyncio.get_running_loop().create_future()

    @property
    def waits_for(self) -> tuple[str, tuple[str, ...], Work, frozenset[str]]:
        """Requests that wait for the same thing stand in one line. Policy leaves some of a route's upstreams out."""
        route = self.asking.route
        return route.name, route.upstreams, self.asking.shape.work, self.without


def _nobody_hears(upstream: LiveUpstream) -> None:
    """See Upstreams."""


class Upstreams:
    """All upstreams of the gateway. Between a check and a place nothing else runs: there is no await.

    `standing_changed` hears of each whose health costs it work now, or no longer does.
    """

    def __init__(
        self,
        *,
        queue: Queue | None = None,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.live: Mapping[str, LiveUpstream] = {}
        self._clock = clock
        self._breaker = breaker or Breaker()
        self._queue: FairQueue[_Waiter] = FairQueue(queue)
        self._timer: asyncio.TimerHandle | None = None
        self.standing_changed: Callable[[LiveUpstream], None] = _nobody_hears
        self._unwell: dict[str, Standing] = {}

    def follow(self, loaded: Loaded) -> None:
        """Become the upstreams of `loaded`. One that did not change keeps all that is known of it, and its load."""
        self._breaker, self._queue.bounds = loaded.config.breaker, loaded.config.queue
        live: dict[str, LiveUpstream] = {}
        for spec in loaded.config.upstreams:
            old, key = self.live.get(spec.name), loaded.upstream_keys.get(spec.name)
            if old is not None and old.spec == spec and old.key == key:
                live[spec.name] = old
                old.breaker = self._breaker
                continue
            name = "edge" if spec.kind == "edge" else spec.engine
            live[spec.name] = LiveUpstream(spec, engine(name), key, breaker=self._breaker, noticed=self._noticed)
            if old is not None:
                live[spec.name].keep_of(old)
        self.live = live
        self._noticed()

    def waiting(self, lane: Lane) -> int:
        """How many requests of a lane wait for a place."""
        return self._queue.waiting(lane)

    def choose(
        self, route: Route, shape: Shape = _ANY, *, without: frozenset[str] = frozenset(), last: bool = False
    ) -> Choice:
        """Where a request may go now, leaving out what was tried already. `last`: it can wait no longer."""
        route = _left(route, without)
        return choose(route, self._states(route, shape), shape, now=self._clock(), last=last)

    def ratio(self, route: Route) -> TokenRatio:
        """Tokens per byte of the model that the route prefers."""
        return next((self.live[name].ratio for name in route.upstreams if name in self.live), TokenRatio())

    def tokens_per_byte(self, route: Route) -> float:
        """The same as a number."""
        return self.ratio(route).tokens_per_byte

    def shape(self, asked: Asked, route: Route, headers: Mapping[str, str], *, lane: Lane, size_bytes: int) -> Shape:
        """How large a request is. Its prompt is hashed only where two serve the same model: else there is no choice."""
        request = asked.request
        models = [self.live[name].spec.serves for name in route.upstreams if name in self.live]
        several = len(set(models)) < len(models)
        wanted = several and asked.work is not Work.EMBEDDINGS
        chain, prompt_bytes = chain_of(request, route.name, wanted=wanted and size_bytes > CHUNK_BYTES)
        allowed = request.get("max_completion_tokens") or request.get("max_tokens")
        return Shape(
            work=asked.work,
            prompt_bytes=prompt_bytes,
            prompt_tokens=self.ratio(route).tokens(prompt_bytes),
            output_tokens=allowed if isinstance(allowed, int) and allowed > 0 else 0,
            chain=chain,
            session=session_of(headers, asked.original, request) if several else "",
            lane=lane,
        )

    async def take(
        self, asking: Asking, *, without: frozenset[str] = frozenset(), wait_seconds: float = 0.0
    ) -> Place | Choice:
        """A place on the best upstream, or the choice that says why there is none within `wait_seconds`."""
        choice = self.choose(asking.route, asking.shape, without=without)
        if choice.attempts and not self._queue:
            return self._place(choice.attempts[0], asking, without)
        if not choice.attempts and (not choice.full or wait_seconds <= 0):
            return self._at_last(asking, without)
        waiter = _Waiter(asking, without)
        shape = asking.shape
        if not self._queue.push(waiter, lane=shape.lane, key=asking.key, route=waiter.waits_for):
            return self._at_last(asking, without)
        if choice.attempts:
            self.wake()
        else:
            self._look_later()
        if not waiter.future.done() and wait_seconds <= 0:
            self._expire(waiter)
        if waiter.future.done():
            return waiter.future.result()
        expiry = asyncio.get_running_loop().call_later(wait_seconds, self._expire, waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise
        finally:
            expiry.cancel()

    def wake(self) -> None:
        """Something changed: who waits looks again, in fair order."""
        if self._queue:
            while self._queue.pop_if(self._settled) is not None:
                pass
            self._look_later()

    def _noticed(self) -> None:
        """An upstream takes more than before, or less."""
        before = self._unwell
        self._unwell = {name: one.standing for name, one in self.live.items() if one.standing is not Standing.FULL}
        for name in before.keys() | self._unwell.keys():
            if name in self.live and before.get(name) is not self._unwell.get(name):
                self.standing_changed(self.live[name])
        self.wake()

    def _states(self, route: Route, shape: Shape) -> dict[str, UpstreamState]:
        live = self.live
        return {name: live[name].state(shape) for name in route.upstreams if name in live}

    def _place(self, name: str, asking: Asking, without: frozenset[str]) -> Place:
        kept_from = self._avoided(name, asking, without) if self._unwell else ()
        return Place(self.live[name], asking.shape, clock=self._clock, freed=self.wake, avoided=kept_from)

    def _avoided(self, taken: str, asking: Asking, without: frozenset[str]) -> tuple[Avoided, ...]:
        """Whom health kept a request from that goes to `taken`."""
        route = _left(asking.route, without)
        if self._unwell.keys().isdisjoint(route.upstreams):
            return ()
        states = self._states(route, asking.shape)
        names = avoided(route, states, asking.shape, taken=taken, now=self._clock())
        return tuple([Avoided(node=states[name].node, upstream=name, reason=self.live[name].ailment) for name in names])

    def _at_last(self, asking: Asking, without: frozenset[str]) -> Place | Choice:
        """A place for a request that waits no longer, or why there is none."""
        choice = self.choose(asking.route, asking.shape, without=without, last=True)
        return self._place(choice.attempts[0], asking, without) if choice.attempts else choice

    def _settled(self, waiter: _Waiter) -> bool:
        """Whether `waiter` need not wait any longer: it got a place, or there is none to wait for, or it left."""
        if waiter.future.done():
            return True
        shape = waiter.asking.shape
        choice = self.choose(waiter.asking.route, shape, without=waiter.without)
        if choice.attempts:
            waiter.future.set_result(self._place(choice.attempts[0], waiter.asking, waiter.without))
        elif not choice.full:
            waiter.future.set_result(choice)
        return waiter.future.done()

    def _expire(self, waiter: _Waiter) -> None:
        """It waited as long as it may: a place that is free for it now, or none."""
        if self._queue.remove(waiter):
            if not self._settled(waiter):
                waiter.future.set_result(self._at_last(waiter.asking, waiter.without))
            self.wake()

    def _give_up(self, waiter: _Waiter) -> None:
        """Its client left: it stands in nobody's way, and a place that it just got is the next one's."""
        if self._queue.remove(waiter):
            self.wake()
        elif not waiter.future.cancelled() and isinstance(place := waiter.future.result(), Place):
            place.leave()

    def _look_later(self) -> None:
        """Time alone frees those that are busy or left alone: look again when the first of them is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._queue:
            return
        now = self._clock()
        times = [one.busy_until for one in self.live.values()]
        times += [one.circuit.opens_at for one in self.live.values() if one.circuit.opens_at is not None]
        soonest = min((at - now for at in times if at > now), default=None)
        if soonest is not None:
            delay = max(soonest, _NOT_BEFORE_SECONDS)
            self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        self.wake()


def _left(route: Route, without: frozenset[str]) -> Route:
    """The route without what was tried already."""
    if not without:
        return route
    left = tuple(name for name in route.upstreams if name not in without)
    return Route(name=route.name, upstreams=left, track=route.track)
