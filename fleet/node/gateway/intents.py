"""The operator's intent, in force: kept on disk, and laid upon the live upstreams."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from fleet.node.gateway.intent import Wishes, apply, planned, report, seen
from fleet.node.gateway.intent_store import IntentStore
from fleet.node.gateway.upstreams import LiveUpstream, Upstreams
from fleet.vocabulary.contracts.gateway_admin import IntentRequest, SidecarIntent


class Intents:
    """What is wanted of the node's own sidecars. `problem` is what was odd about the file at the start.

    A sidecar that the configuration does not name now keeps its wish: it may come back.
    """

    def __init__(self, store: IntentStore, upstreams: Upstreams, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._upstreams = upstreams
        self._now = now
        self._wishes: Wishes
        self._wishes, self.problem = store.load()

    @property
    def lasting(self) -> bool:
        """Whether a restart keeps them."""
        return self._store.lasting

    def follow(self) -> None:
        """Lay the wishes upon the upstreams of the moment: after every new configuration, and before one is shown.

        `draining` becomes `drained` here.
        """
        for name, upstream in self._sidecars().items():
            upstream.intent = seen(self._wishes.get(name), in_flight=upstream.in_flight)

    def want(self, request: IntentRequest) -> None:
        """Make it so, and keep it. Raises NoSuchSidecar, and OSError when it cannot be kept: then nothing changed."""
        wishes = apply(self._wishes, request, sidecars=self._sidecars(), now=self._now())
        if wishes != self._wishes:
            self._store.save(wishes)
            self._wishes = wishes
        self.follow()

    def report(self) -> tuple[SidecarIntent, ...]:
        """How every sidecar of this node stands."""
        self.follow()
        in_flight = {name: upstream.in_flight for name, upstream in self._sidecars().items()}
        return report(self._wishes, in_flight, now=self._now())

    def planned(self) -> tuple[str, ...]:
        """The sidecars that a deploy on this node stops and starts just now."""
        return planned(self._wishes, now=self._now())

    def _sidecars(self) -> Mapping[str, LiveUpstream]:
        return {name: one for name, one in self._upstreams.live.items() if one.spec.kind == "sidecar"}
