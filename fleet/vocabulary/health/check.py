"""What a check is: thresholds with room between them, waiting times, and words for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fleet.vocabulary.names import Health

LONGEST_HOLD_DOWN_SECONDS = 900.0
_RANK = {Health.OK: 0, Health.UNKNOWN: 1, Health.WARN: 2, Health.CRITICAL: 3}


def rank(health: Health) -> int:
    """Worse is more: unknown outranks ok, and ranks below warn."""
    return _RANK[health]


def worst(healths: Iterable[Health]) -> Health:
    """The worst of them; of none, ok."""
    return max(healths, key=rank, default=Health.OK)


@dataclass(frozen=True, kw_only=True)
class Band:
    """Bad from `enter` on, good again from `leave` on; between them it stays what it was.

    Raises ValueError when both are equal.
    """

    enter: float
    leave: float

    def __post_init__(self) -> None:
        if self.enter == self.leave:
            raise ValueError(f"enter and leave are both {self.enter:g}: a value there would flap")

    def is_bad(self, value: float, *, before: bool) -> bool:
        """Whether the value is bad, when it was so `before`."""
        if self.enter > self.leave:
            return value > self.leave if before else value >= self.enter
        return value < self.leave if before else value <= self.enter


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a check read of one subject. `value` None = could not be read.

    `text` says in words what a bad value means (or, of an unknown one, what is not known); `since_seconds` is when
    that began, where the sample itself tells.
    """

    value: float | None
    text: str = ""
    since_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that can be wrong. In `next`, `do` and `do_unknown` {node} and {subject} are filled in.

    A fault shows when it lasted `visible_after_seconds`, and goes when it was gone for `hold_down_seconds`: twice as
    long each time that it comes back soon, up to 15 minutes. While a check of `depends_on` is critical (for the same
    subject, or for the whole node) this one is hidden.
    `unknown_code` is set where not knowing is itself worth telling from the first look on; `unknown_is_normal` where it
    never is.
    """

    id: str
    title: str
    reads: str
    unit: str = ""
    warn: Band | None = None
    critical: Band | None = None
    visible_after_seconds: float = 0.0
    hold_down_seconds: float = 0.0
    depends_on: tuple[str, ...] = ()
    next: str
    do: str
    unknown_code: str = ""
    unknown_is_normal: bool = False
    do_unknown: str = "fleet logs {node} agent"

    def holds_for(self, flaps: int) -> float:
        """How long it must be gone, when it came back `flaps` times soon after it had gone. In seconds."""
        if not self.hold_down_seconds:
            return 0.0
        most = max(LONGEST_HOLD_DOWN_SECONDS, self.hold_down_seconds)
        return min(self.hold_down_seconds * 2.0 ** min(flaps, 32), most)

    def is_good(self, value: float) -> bool:
        """Whether the value is bad by none of its thresholds, when nothing was bad before."""
        warn, critical = self.warn, self.critical
        if warn is not None and warn.is_bad(value, before=False):
            return False
        return critical is None or not critical.is_bad(value, before=False)
