"""How a simulated launchd behaves just now: time scales, recorded variants, injected trouble."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Frozen; a fault puts another one in its place.

    `throttle_scale` and `exit_scale` multiply launchd's own waits (throttle, back-off, StartInterval; SIGTERM to
    SIGKILL), so that a rehearsal of minutes takes seconds. Jobs by the calendar go by this machine's clock, and
    `clock_ahead_seconds`. `pended`: why non-demand spawns are put off, or None.
    `held`: services that launchd refuses to run (a label, or its last word or words: `sidecar`, `sidecar.chat`);
    `crashing`: those whose process ends as soon as it runs.
    The rest are variants between releases of macOS: the first signal of `kickstart -k` (FACTS section 1.2, disputed),
    what `bootout` answers while the process lives (0 or 36), `bootstrap` of a disabled label (5 or 119) and
    `bootstrap` while the old instance is being removed (37 or 5).
    """

    throttle_scale: float = 1.0
    exit_scale: float = 1.0
    clock_ahead_seconds: float = 0.0
    pended: str | None = None
    held: frozenset[str] = frozenset()
    crashing: frozenset[str] = frozenset()
    kickstart_signal: str = "SIGTERM"
    bootout_code: int = 0
    disabled_code: int = 5
    busy_code: int = 37
    enforce_root: bool = True

    def holds(self, label: str) -> bool:
        """Whether launchd refuses to run the label."""
        return any(is_called(label, held) for held in self.held)

    def crashes(self, label: str) -> bool:
        """Whether what the label runs ends at once."""
        return any(is_called(label, crashing) for crashing in self.crashing)


def is_called(label: str, name: str) -> bool:
    """Whether a service goes by this name: its label, or the label's last word or words."""
    return label == name or f".{name}." in f"{label}."
