"""What is remembered of a node between two looks, and what a change of it is. Frozen; JSON by msgspec.

Times are seconds since 1970 by the observer's clock.
"""

from __future__ import annotations

import msgspec

from fleet.vocabulary.names import Health, Intent


class Latch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A yes or no that shows late and goes late. `raw` is what was read last, `on` what is shown.

    `flaps`: how often it came back soon after it had gone; each doubles how long it must be gone.
    """

    raw: bool = False
    raw_since_seconds: float = 0.0
    on: bool = False
    since_seconds: float = 0.0
    flaps: int = 0


REST = Latch()
"""The latch of what was never bad lately: nearly every one at nearly every look is this very object."""


class Track(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One check of one subject: a service, a sidecar's service, a mount, a collector, or "" for the node.

    `told` is what the last transition said; `text` what the last bad reading said.
    """

    check: str
    subject: str
    warn: Latch = REST
    critical: Latch = REST
    level: Health = Health.OK
    told: Health = Health.OK
    began_seconds: float | None = None
    known_at_seconds: float | None = None
    unknown_since_seconds: float | None = None
    text: str = ""


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What later samples are compared with. `clock_seconds` is the node's own clock at its last sample.

    `restarts` are the times of starts that nobody asked for; `missed` those between two samples far apart: when that
    was seen, and how many.
    """

    sample_at_seconds: float | None = None
    clock_seconds: float | None = None
    boot_time_seconds: float | None = None
    reboot_seen_at_seconds: float | None = None
    runs: dict[str, int] = {}
    restarts: dict[str, tuple[float, ...]] = {}
    missed: dict[str, tuple[float, int]] = {}


class NodeState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of one node. `silent_from_seconds` is from when on its silence counts, when that is not the last sample."""

    node: str
    at_seconds: float = 0.0
    silent_from_seconds: float | None = None
    history: History = History()
    tracks: tuple[Track, ...] = ()


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is wrong and shown: what, since when, what happens next, what to do.

    `clear_since_seconds`: it is gone since then, and watched a little longer.
    """

    check: str
    code: str
    subject: str
    health: Health
    since_seconds: float
    text: str
    next: str = ""
    do: str = ""
    clear_since_seconds: float | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fault began, changed its level, or ended (`after` ok). Schema 1.

    `began_seconds` is when the fault began, `since_seconds` when it became what it is `after`, `at_seconds` when that
    was known. `node` "" = this laptop itself. With an `intent` it is no fault: somebody drained or resumed the node.
    """

    at_seconds: float
    node: str
    check: str
    subject: str = ""
    before: Health
    after: Health
    began_seconds: float
    since_seconds: float
    text: str = ""
    next: str = ""
    do: str = ""
    intent: Intent | None = None
    schema: int = 1
