"""The long prompt whose greedy answer is known: it shows what one token cannot, an engine that answers nonsense.

Asked only when nothing else runs. Silence or an error is not a wrong answer: other probes tell of those.
"""

from __future__ import annotations

import json
import selectors
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from fleet.engines import Probe, engine
from fleet.errors import ConfigError
from fleet.node.agent.parts import NEVER
from fleet.node.agent.probe import ProbeAnswer, ProbeCall
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.agent import AgentSidecar, Golden
from fleet.vocabulary.contracts.snapshot import SidecarReading

DEADLINE_SECONDS = 300.0
AGAIN_SECONDS = 600.0
"""A wrong answer, or none, is looked at again so soon, if not sooner anyway."""


@dataclass(frozen=True, kw_only=True)
class _Last:
    ok: bool | None = None
    at_seconds: float | None = None
    seconds: float | None = None
    next_at: float = 0.0


class Goldens:
    """The sidecars that have such a prompt."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        clock: Clock,
        sidecars: Sequence[AgentSidecar],
        *,
        changed: Callable[[], None],
    ) -> None:
        self._selector, self._clock, self._changed = selector, clock, changed
        self._sidecars = {sidecar.name: sidecar for sidecar in sidecars if sidecar.golden is not None}
        self._last: dict[str, _Last] = {}
        self._call: ProbeCall | None = None

    def tick(self, readings: Iterable[SidecarReading]) -> None:
        """Ask one that is due, ready and idle. One at a time."""
        if self._call is not None:
            return
        now = self._clock.monotonic()
        for reading in readings:
            sidecar = self._sidecars.get(reading.name)
            due = sidecar is not None and self._last.get(reading.name, _Last()).next_at <= now
            if sidecar is not None and due and reading.ready and not reading.in_flight:
                self._ask(sidecar)
                return

    def on(self, reading: SidecarReading) -> SidecarReading:
        """The reading with what the last answer proved."""
        last = self._last.get(reading.name)
        if last is None:
            return reading
        return msgspec.structs.replace(
            reading, golden_ok=last.ok, golden_at_seconds=last.at_seconds, golden_seconds=last.seconds
        )

    def next_at(self) -> float:
        """The deadline of the one under way."""
        return self._call.deadline if self._call else NEVER

    def wake(self, now: float) -> None:
        """End it when it is late."""
        if self._call is not None:
            self._call.expire(now)

    def close(self) -> None:
        """Drop the one under way."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _ask(self, sidecar: AgentSidecar) -> None:
        golden = sidecar.golden
        assert golden is not None
        try:
            probe = golden_probe(sidecar, golden)
        except ConfigError:
            self._last[sidecar.name] = _Last(next_at=NEVER)
            return

        def take(answer: ProbeAnswer) -> None:
            self._call = None
            self._take(sidecar.name, golden, answer)

        call = ProbeCall(
            self._selector, self._clock, probe, port=sidecar.port, deadline_seconds=DEADLINE_SECONDS, then=take
        )
        self._call = None if call.done else call

    def _take(self, name: str, golden: Golden, answer: ProbeAnswer) -> None:
        said = text_of(answer.body) if answer.status == 200 else None
        now = self._clock.monotonic()
        if said is None:
            before = self._last.get(name, _Last())
            after = min(golden.every_seconds, AGAIN_SECONDS)
            self._last[name] = _Last(
                ok=before.ok, at_seconds=before.at_seconds, seconds=before.seconds, next_at=now + after
            )
            return
        ok = said.strip() == golden.answer.strip()
        after = golden.every_seconds if ok else min(golden.every_seconds, AGAIN_SECONDS)
        at = self._clock.now().timestamp()
        self._last[name] = _Last(ok=ok, at_seconds=at, seconds=answer.seconds, next_at=now + after)
        self._changed()


def golden_probe(sidecar: AgentSidecar, golden: Golden) -> Probe:
    """The request: as the engine's 1-token probe, with the prompt, whole and not streamed. Raises ConfigError."""
    short = engine(sidecar.engine).ready(sidecar.model)
    body = {name: value for name, value in (short.body or {}).items() if not name.startswith("stream")}
    asked = [{"role": "user", "content": golden.prompt}]
    return Probe(
        method=short.method,
        path=short.path,
        body={**body, "messages": asked, "max_tokens": golden.max_tokens, "temperature": 0.0, "stream": False},
    )


def text_of(body: bytes) -> str | None:
    """The text of a chat completion; None for anything else."""
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return text if isinstance(text, str) else None
