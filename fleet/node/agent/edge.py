"""The admin door of the node's own gateway, asked on loopback beside the loop: contracts/gateway_admin.py.

Nothing here waits, and what it last said counts for a while only. A gateway that is gone, or is older than these
questions, is simply not known; one that refuses our key is a problem worth telling.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import TypeVar

import msgspec

from fleet.engines import Probe
from fleet.node.agent.parts import NEVER
from fleet.node.agent.probe import ProbeAnswer, ProbeCall
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.gateway_admin import NodeIntent, PaceReport, SidecarIntent, UpstreamPace
from fleet.vocabulary.names import Intent
from fleet.vocabulary.secret import Secret

T = TypeVar("T")
V = TypeVar("V")

DEADLINE_SECONDS = 4.0
_PACE = Probe(method="GET", path="/admin/pace")
_INTENT = Probe(method="GET", path="/admin/intent")
_REFUSED = frozenset({401, 403})


class EdgeDoor:
    """What the gateway says of its own sidecars. `port` None = there is no gateway; `heard` is told of a new pace."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        clock: Clock,
        *,
        port: int | None,
        token: Secret,
        valid_seconds: float,
        heard: Callable[[PaceReport], None],
    ) -> None:
        self._selector, self._clock, self._port, self._token = selector, clock, port, token
        self._valid_seconds, self._heard = valid_seconds, heard
        self._calls: dict[str, ProbeCall] = {}
        self._pace: tuple[float, dict[int, UpstreamPace]] | None = None
        self._intents: tuple[float, dict[str, SidecarIntent]] | None = None
        self.problem: str | None = None

    @property
    def there(self) -> bool:
        """Whether the node has a gateway."""
        return self._port is not None

    def pace(self, port: int) -> UpstreamPace | None:
        """What it last said of the sidecar on that port; None when that is too long ago."""
        return self._of(self._pace, port)

    def intent(self, name: str) -> SidecarIntent | None:
        """What it last said is wanted of the sidecar that it calls so."""
        return self._of(self._intents, name)

    def ask(self) -> None:
        """Ask for the pace, unless an answer is still on its way."""
        self._call("pace", _PACE, self._take_pace)

    def ask_intent(self) -> None:
        """Ask what is wanted, unless we are just telling."""
        if not any(what.startswith("want ") for what in self._calls):
            self._call("intent", _INTENT, self._take_intent)

    def want(self, sidecar: str, intent: Intent, *, by: str) -> None:
        """Ask for something. Whether it is so now shows in `intent`: a question that is on its way is older."""
        if asked := self._calls.pop("intent", None):
            asked.cancel()
        body = {"intent": intent.value, "sidecar": sidecar, "by": by}
        self._call(f"want {sidecar}", Probe(method="POST", path="/admin/intent", body=body), self._take_intent)

    def next_at(self) -> float:
        """The first deadline of a call under way."""
        return min((call.deadline for call in self._calls.values()), default=NEVER)

    def wake(self, now: float) -> None:
        """End what is late."""
        for call in list(self._calls.values()):
            call.expire(now)

    def close(self) -> None:
        """Drop the calls under way."""
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()

    def _of(self, said: tuple[float, dict[T, V]] | None, name: T) -> V | None:
        if said is None or self._clock.monotonic() - said[0] > self._valid_seconds:
            return None
        return said[1].get(name)

    def _call(self, what: str, probe: Probe, then: Callable[[bytes], None]) -> None:
        if self._port is None or what in self._calls:
            return

        def take(answer: ProbeAnswer) -> None:
            self._calls.pop(what, None)
            self.problem = None
            if answer.status == 200:
                then(answer.body)
            elif answer.status in _REFUSED:
                self.problem = f"the gateway refuses the agent's key ({answer.status}): fleet deploy gives it one"

        call = ProbeCall(
            self._selector,
            self._clock,
            probe,
            port=self._port,
            deadline_seconds=DEADLINE_SECONDS,
            then=take,
            token=self._token,
        )
        if not call.done:
            self._calls[what] = call

    def _take_pace(self, body: bytes) -> None:
        report = self._read(body, PaceReport)
        if report is not None:
            by_port = {one.port: one for one in report.upstreams if one.port is not None}
            self._pace = self._clock.monotonic(), by_port
            self._heard(report)

    def _take_intent(self, body: bytes) -> None:
        report = self._read(body, NodeIntent)
        if report is not None:
            self._intents = self._clock.monotonic(), {one.name: one for one in report.sidecars}

    def _read(self, body: bytes, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.problem = f"what the gateway says cannot be read: {error}"
            return None
