"""Probes the sidecars: `live` by the engine's cheap request, `ready` by a completion of one token."""

from __future__ import annotations

import math
import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from fleet.engines import Probe, engine
from fleet.errors import ConfigError
from fleet.node.agent.parts import NEVER
from fleet.node.agent.probe import ProbeAnswer, ProbeCall
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.agent import AgentSidecar
from fleet.vocabulary.contracts.snapshot import SidecarReading

LIVE_DEADLINE_SECONDS = 3.0
READY_DEADLINE_SECONDS = 60.0
"""A busy sidecar answers the probe behind the requests before it."""


@dataclass
class _Watched:
    sidecar: AgentSidecar
    reading: SidecarReading
    next_at: float = -math.inf
    calls: list[ProbeCall] = field(default_factory=list)


class Sidecars:
    """The sidecars of the node. A ready one is probed every `slow_seconds`, another every `fast_seconds`.

    No token is asked of one that answered a client just now (`answered_ago`, by its port), nor of one that `rests`.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        clock: Clock,
        sidecars: Sequence[AgentSidecar],
        *,
        fast_seconds: float,
        slow_seconds: float,
        changed: Callable[[], None],
        answered_ago: Callable[[int], float | None] = lambda _: None,
        rests: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._selector, self._clock, self._changed = selector, clock, changed
        self._answered_ago, self._rests = answered_ago, rests
        self._fast, self._slow = fast_seconds, slow_seconds
        self._watched = [
            _Watched(
                sidecar,
                SidecarReading(name=sidecar.name, model=sidecar.serves or sidecar.model, port=sidecar.port),
            )
            for sidecar in sidecars
        ]

    @property
    def readings(self) -> tuple[SidecarReading, ...]:
        """What the last probes said."""
        return tuple(item.reading for item in self._watched)

    def next_at(self) -> float:
        """The next probe, or the deadline of one under way."""
        times = [call.deadline for item in self._watched for call in item.calls]
        times += [item.next_at for item in self._watched if not item.calls]
        return min(times, default=NEVER)

    def wake(self, now: float) -> None:
        """End what is late, start what is due."""
        for item in self._watched:
            for call in list(item.calls):
                call.expire(now)
            if not item.calls and now >= item.next_at:
                item.next_at = now + self._fast
                self._probe(item)

    def doubt(self, name: str) -> None:
        """Its process is another now: what was proved of the former one is forgotten."""
        for item in self._watched:
            if item.sidecar.name == name:
                for call in item.calls:
                    call.cancel()
                item.calls.clear()
                item.next_at = -math.inf
                item.reading = msgspec.structs.replace(item.reading, live=None, ready=None, problem=None)
                self._changed()

    def close(self) -> None:
        """Drop the probes under way."""
        for item in self._watched:
            for call in item.calls:
                call.cancel()
            item.calls.clear()

    def _probe(self, item: _Watched) -> None:
        try:
            kind = engine(item.sidecar.engine)
        except ConfigError as error:
            self._set(item, live=None, ready=None, problem=error.title)
            item.next_at = NEVER
            return
        self._call(item, kind.live, LIVE_DEADLINE_SECONDS, lambda answer: self._lived(item, answer))

    def _call(self, item: _Watched, probe: Probe, deadline_seconds: float, then: Callable[[ProbeAnswer], None]) -> None:
        def take(answer: ProbeAnswer) -> None:
            item.calls = [call for call in item.calls if not call.done]
            then(answer)

        call = ProbeCall(
            self._selector,
            self._clock,
            probe,
            port=item.sidecar.port,
            deadline_seconds=deadline_seconds,
            then=take,
        )
        if not call.done:
            item.calls.append(call)

    def _lived(self, item: _Watched, answer: ProbeAnswer) -> None:
        if answer.status != 200:
            self._set(item, live=False, ready=False, answer=answer, problem=_problem(item.sidecar, answer))
            return
        if self._rests(item.sidecar.name):
            item.next_at = self._clock.monotonic() + self._slow
            self._set(item, live=True, ready=None, problem=None)
            return
        ago = self._answered_ago(item.sidecar.port)
        if ago is not None and ago < self._slow:
            item.next_at = self._clock.monotonic() + self._slow
            self._set(item, live=True, ready=True, problem=None)
            return
        self._set(item, live=True, ready=item.reading.ready, answer=None, problem=item.reading.problem)
        probe = engine(item.sidecar.engine).ready(item.sidecar.model)
        self._call(item, probe, READY_DEADLINE_SECONDS, lambda ready: self._answered(item, ready))

    def _answered(self, item: _Watched, answer: ProbeAnswer) -> None:
        good = answer.status == 200
        item.next_at = self._clock.monotonic() + (self._slow if good else self._fast)
        problem = None if good else _problem(item.sidecar, answer)
        self._set(item, live=True, ready=good, answer=answer, problem=problem)

    def _set(
        self,
        item: _Watched,
        *,
        live: bool | None,
        ready: bool | None,
        problem: str | None,
        answer: ProbeAnswer | None = None,
    ) -> None:
        item.reading = msgspec.structs.replace(
            item.reading,
            live=live,
            ready=ready,
            problem=problem,
            probed_at_seconds=self._clock.now().timestamp() if answer else item.reading.probed_at_seconds,
            probe_seconds=answer.seconds if answer else item.reading.probe_seconds,
        )
        self._changed()


def _problem(sidecar: AgentSidecar, answer: ProbeAnswer) -> str:
    if answer.status is None:
        return answer.problem or "no answer"
    try:
        message = engine(sidecar.engine).map_error(answer.status, answer.body).message
    except ConfigError:
        message = ""
    return f"HTTP {answer.status}: {message}" if message else f"HTTP {answer.status}"
