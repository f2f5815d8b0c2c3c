"""The pace of the node's sidecars against what is usual: learned from what the gateway says while the node is well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from fleet.node.agent.baseline import Key, Pace, Usual, compared, is_well, learned
from fleet.node.agent.baselinefile import BaselineFile
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.agent import AgentSidecar
from fleet.vocabulary.contracts.gateway_admin import PaceReport, PaceRow, UpstreamPace
from fleet.vocabulary.contracts.snapshot import SidecarReading, Snapshot

_SAVE_SECONDS = 600.0
_SPOKEN = Pace()


class Paces:
    """What the sidecars give, and what is usual. `machine` is the node's last sample, without any sidecar."""

    def __init__(
        self,
        clock: Clock,
        sidecars: Sequence[AgentSidecar],
        file: BaselineFile,
        *,
        machine: Callable[[], Snapshot],
    ) -> None:
        self._clock, self._file, self._machine = clock, file, machine
        self._sidecars = {sidecar.port: sidecar for sidecar in sidecars}
        self._usuals: dict[Key, Usual] = file.load() if sidecars else {}
        self._learned_at: dict[Key, float] = {}
        self._paces: dict[int, Pace] = {}
        self._recent: dict[int, float | None] = {}
        self._unsaved, self._saved_at = False, clock.monotonic()

    def hear(self, report: PaceReport) -> None:
        """Compare, and learn: from each window once, and only while the node is well."""
        snapshot = self._machine()
        well, now = is_well(snapshot), self._clock.monotonic()
        for upstream in report.upstreams:
            sidecar = self._sidecars.get(upstream.port or 0)
            if sidecar is None:
                continue
            keyed = [(_key(sidecar, snapshot, row), row) for row in upstream.rows]
            self._paces[sidecar.port] = compared((row, self._usuals.get(key)) for key, row in keyed)
            recent = compared((row, self._usuals.get(_key(sidecar, snapshot, row))) for row in upstream.recent)
            self._recent[sidecar.port] = recent.ratio
            for key, row in keyed if well else ():
                self._learn(key, row, now=now, window_seconds=report.window_seconds)

    def on(self, reading: SidecarReading, said: UpstreamPace | None, *, now: float) -> SidecarReading:
        """The reading with its pace, as of `now` (Unix time). What the gateway does not say now is unknown."""
        if said is None:
            return reading
        pace, ago = self._paces.get(reading.port, _SPOKEN), said.answered_seconds_ago
        return msgspec.structs.replace(
            reading,
            in_flight=said.in_flight,
            served_at_seconds=None if ago is None else now - ago,
            decode_tokens_per_second=pace.tokens_per_second,
            baseline_tokens_per_second=pace.usual_tokens_per_second,
            pace_ratio=pace.ratio,
            recent_pace_ratio=self._recent.get(reading.port),
            first_token_seconds=pace.first_token_seconds,
            baseline_first_token_seconds=pace.usual_first_token_seconds,
        )

    def save(self, *, at_once: bool = False) -> None:
        """Keep what was learned, now and then. What cannot be written is tried again."""
        now = self._clock.monotonic()
        if self._unsaved and (at_once or now - self._saved_at >= _SAVE_SECONDS):
            self._saved_at = now
            self._unsaved = not self._file.save(self._usuals)

    def _learn(self, key: Key, row: PaceRow, *, now: float, window_seconds: float) -> None:
        last = self._learned_at.get(key)
        if last is not None and now - last < window_seconds:
            return
        before = self._usuals.get(key) or Usual()
        after = learned(before, row, now=self._clock.now().timestamp())
        if after != before:
            self._usuals[key] = after
            self._learned_at[key] = now
            self._unsaved = True


def _key(sidecar: AgentSidecar, snapshot: Snapshot, row: PaceRow) -> Key:
    return Key(
        model=sidecar.serves or sidecar.model,
        os=snapshot.os_version or "",
        engine=f"{sidecar.engine} {sidecar.version}".strip(),
        at_once=row.at_once,
    )
