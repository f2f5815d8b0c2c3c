"""One upstream of a running gateway: what is known of it now. Times are monotonic seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from fleet.engines import Engine, UpstreamFacts
from fleet.node.gateway.paces import Pace
from fleet.traffic.breaker import Circuit
from fleet.traffic.choice import Readiness, UpstreamState
from fleet.traffic.config import Breaker, Limits, Upstream
from fleet.traffic.estimate import TokenRatio
from fleet.traffic.prefix import PrefixMemory
from fleet.traffic.wellness import Standing, Wellbeing
from fleet.traffic.work import Shape, Work
from fleet.vocabulary.names import Intent
from fleet.vocabulary.secret import Secret

_UNSAID_BUSY_SECONDS = 1.0
_LONGEST_BUSY_SECONDS = 600.0
_BY_HEARSAY = "health"
_ANY = Shape()


def _nobody_cares() -> None:
    return


class Load:
    """What the requests in flight take of one server. It outlives a change of its configuration, as they do."""

    __slots__ = ("held_tokens", "in_flight", "outstanding_tokens")

    def __init__(self) -> None:
        self.in_flight = 0
        self.outstanding_tokens = 0
        self.held_tokens = 0


class LiveUpstream:
    """What probes said (`readiness`), what live requests met (`circuit`), what runs there, and what its caches hold.

    `pace` is how fast it answers, for a sidecar of this node. `standing` is how much new work its node's health lets it
    have, `unwell` says why not all, and `ailment` in one word. `noticed` is called when it may take requests that it
    did not take before, or no longer takes them. `changed` is set when its prober should look at once. Counters ending
    in `_total` are of tokens and only rise.
    """

    def __init__(
        self,
        spec: Upstream,
        engine: Engine,
        key: Secret | None = None,
        *,
        breaker: Breaker | None = None,
        noticed: Callable[[], None] = _nobody_cares,
    ) -> None:
        self.spec = spec
        self.engine = engine
        self.key = key
        self.breaker = breaker or Breaker()
        self.reason = "not proven yet"
        self.proven_at: float | None = None
        self.circuit = Circuit()
        self.busy_until = 0.0
        self.load = Load()
        self.ratio = TokenRatio()
        self.prefixes = PrefixMemory(spec.prompt_cache_size)
        self.pace = Pace() if spec.kind == "sidecar" else None
        self.predicted_cached_tokens_total = 0
        self.cached_tokens_total = 0
        self.prompt_tokens_total = 0
        self.changed = asyncio.Event()
        self.wellbeing = Wellbeing()
        self.standing = Standing.FULL
        self.unwell: tuple[str, ...] = ()
        self.ailment = ""
        self._hearsay: tuple[Standing, tuple[str, ...]] = (Standing.FULL, ())
        self._why_unwell = ""
        self._noticed = noticed
        self._down = False
        self._intent = Intent.SERVING
        self._works = (
            tuple(Work(work) for work in spec.works if work in _WORKS)
            if spec.works is not None
            else engine.capabilities.works
        )

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.spec.name

    @property
    def works(self) -> tuple[Work, ...]:
        """What it may be asked for."""
        return self._works

    @property
    def in_flight(self) -> int:
        """How many requests it has."""
        return self.load.in_flight

    @property
    def outstanding_tokens(self) -> int:
        """The work that waits there."""
        return self.load.outstanding_tokens

    @property
    def intent(self) -> Intent:
        """What the operator wants of it."""
        return self._intent

    @intent.setter
    def intent(self, intent: Intent) -> None:
        changed, self._intent = intent is not self._intent, intent
        if changed:
            self._noticed()

    @property
    def readiness(self) -> Readiness:
        """What is proven: that it answers, that it cannot, or nothing (also after live requests failed)."""
        if self._down:
            return Readiness.DOWN
        proven = self.proven_at is not None and self.circuit.opens_at is None
        return Readiness.READY if proven else Readiness.UNKNOWN

    def state(self, shape: Shape = _ANY) -> UpstreamState:
        """What choice must know, of it and of a request of `shape` there."""
        spec, ratio, load = self.spec, self.ratio, self.load
        size = shape.prompt_bytes
        return UpstreamState(
            name=spec.name,
            serves=spec.serves,
            node=spec.node,
            in_flight=load.in_flight,
            max_in_flight=spec.max_in_flight,
            readiness=self.readiness,
            intent=self._intent,
            reason=self.reason,
            circuit=self.circuit,
            busy_until=self.busy_until,
            works=self._works,
            context_tokens=spec.context_tokens,
            kv_bytes=spec.kv_bytes,
            kv_bytes_per_token=spec.kv_bytes_per_token,
            outstanding_tokens=load.outstanding_tokens,
            held_tokens=load.held_tokens,
            prompt_tokens=ratio.tokens(size) if size else shape.prompt_tokens,
            least_prompt_tokens=ratio.least_tokens(size) if size else 0,
            matched_bytes=self.prefixes.matched_bytes(shape.chain) if shape.chain else 0,
            standing=self.standing,
            unwell=self._why_unwell,
        )

    def facts(self, limits: Limits) -> UpstreamFacts:
        """What the engine must know to shape a request."""
        return UpstreamFacts(
            model=self.spec.model,
            context_tokens=self.spec.context_tokens,
            default_max_tokens=limits.default_max_tokens,
        )

    def proved(self, now: float) -> None:
        """It answered: a request, or a probe."""
        news = self._down or self.proven_at is None or self.circuit.opens_at is not None
        self._down, self.reason, self.proven_at = False, "", now
        if self.pace is not None:
            self.pace.generated()
        self.circuit = self.circuit.succeeded()
        if news:
            self._noticed()

    def reached(self, now: float) -> None:
        """It is there and takes our key: no answer, so a breaker that is open stays so."""
        if self.circuit.opens_at is None:
            self.proved(now)

    def failed(self, now: float, reason: str, *, out: bool) -> None:
        """A live request failed there. `out`: the next one would as well; else a few in a row leave it alone."""
        was_open = self.circuit.opens_at is not None
        settings = self.breaker
        self.circuit = self.circuit.ejected(now, settings) if out else self.circuit.failed(now, settings)
        self.reason = reason
        if out:
            self.prefixes.clear()  # refused connections mean a restart, and a restart an empty cache
        if self.circuit.opens_at is not None:
            self.changed.set()
            if not was_open:
                self._noticed()

    def refuted(self, reason: str) -> None:
        """A probe, or its own word, says that it cannot answer: nothing goes there until something proves it can."""
        news, self._down, self.reason = not self._down, True, reason
        if news:
            self.changed.set()
            self.prefixes.clear()
            self._noticed()

    def busy(self, now: float, seconds: float | None = None) -> None:
        """It asked for `seconds` of quiet (429): others are asked while there are others. No failure."""
        wanted = _UNSAID_BUSY_SECONDS if seconds is None else min(max(seconds, 0.0), _LONGEST_BUSY_SECONDS)
        self.busy_until = max(self.busy_until, now + wanted)

    def feels(self, wellbeing: Wellbeing) -> None:
        """Its node's readings were judged. As long as they are known, nothing else counts."""
        self.wellbeing = wellbeing
        self._weigh()

    def says(self, standing: Standing, reasons: tuple[str, ...]) -> None:
        """What its own gateway says of its node: that counts where we may not read the node ourselves."""
        self._hearsay = standing, reasons
        self._weigh()

    def _weigh(self) -> None:
        """What requests need of it, worked out once."""
        held, before = self.wellbeing, self.standing
        self.standing, self.unwell = (held.standing, held.reasons) if held.known else self._hearsay
        self._why_unwell = "; ".join(self.unwell)
        self.ailment = held.word if held.known else _BY_HEARSAY if self.standing is not Standing.FULL else ""
        if self.standing is not before:
            self._noticed()

    def learned(self, usage: Mapping[str, Any], *, prompt_bytes: int, matched_tokens: int) -> None:
        """The engine counted a prompt of `prompt_bytes`; `matched_tokens` were expected to be cached. Total."""
        prompt = _count(usage.get("prompt_tokens"))
        if not prompt:
            return
        self.ratio = self.ratio.learned(prompt_bytes, prompt)
        details = usage.get("prompt_tokens_details")
        cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
        self.prompt_tokens_total += prompt
        if cached is not None:
            self.cached_tokens_total += min(cached, prompt)
            self.predicted_cached_tokens_total += min(matched_tokens, prompt)

    def keep_of(self, old: LiveUpstream) -> None:
        """Of what it was before its configuration changed.

        The operator's intent; how its node is; what still runs there, when it is the same server; what a same model
        taught.
        """
        self._intent = old.intent
        if old.spec.node == self.spec.node:
            self._hearsay = old._hearsay
            self.feels(old.wellbeing)
        if old.spec.url == self.spec.url:
            self.load = old.load
        if (old.spec.serves, old.spec.model) == (self.spec.serves, self.spec.model):
            self.ratio = old.ratio
            if old.spec.url == self.spec.url and self.pace is not None and old.pace is not None:
                self.pace = old.pace


_WORKS = frozenset(Work)


def _count(value: object) -> int | None:
    """A count that an engine told; None when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
