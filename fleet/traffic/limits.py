"""How much a key or a team may use within a minute, and at once. Pure: whoever asks says what time it is.

The promise is about every minute, wherever it begins: no more than the limit within any 60 seconds. Time is counted in
slots of a quarter second, and a slot counts until all of it is past, so what is let through is up to 0.4 % less.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from fleet.traffic.keyring import KeyLimits

MINUTE_SECONDS = 60.0
SLOT_SECONDS = 0.25
_SLOTS = int(MINUTE_SECONDS / SLOT_SECONDS) + 1


class Minute:
    """What was used within the last minute. At most 241 pairs of slot and units, whatever is asked of it.

    A clock that is set back stands still here: a minute is never lived twice.
    """

    __slots__ = ("_slot", "_slots", "used")

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()
        self._slot = 0
        self.used = 0

    def wait_seconds(self, units: int, limit: int, now: float) -> float | None:
        """0 when `units` more fit below `limit` now, else how long until they do; None when they never will."""
        self._pass(now)
        if self.used + units <= limit:
            return 0.0
        if units > limit:
            return None
        left = self.used
        for slot, held in self._slots:
            left -= held
            if left + units <= limit:
                return max(SLOT_SECONDS, (slot + _SLOTS) * SLOT_SECONDS - now)
        return None

    def add(self, units: int, now: float) -> None:
        """`units` are used; a negative number gives back what turned out not to be, from the newest on."""
        self._pass(now)
        if units < 0:
            self._give_back(-units)
            return
        if self._slots and self._slots[-1][0] == self._slot:
            self._slots[-1][1] += units
        elif units:
            self._slots.append([self._slot, units])
        self.used += units

    def _give_back(self, units: int) -> None:
        while units > 0 and self._slots:
            newest = self._slots[-1]
            part = min(units, newest[1])
            newest[1] -= part
            self.used -= part
            units -= part
            if not newest[1]:
                self._slots.pop()

    def _pass(self, now: float) -> None:
        self._slot = max(self._slot, int(now / SLOT_SECONDS))
        oldest = self._slot - _SLOTS
        while self._slots and self._slots[0][0] <= oldest:
            self.used -= self._slots.popleft()[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TooMuch:
    """A refusal. `what` is `requests_per_minute`, `tokens_per_minute` or `concurrency`; `whose` a key's or team's name.

    `retry_after_seconds` None: not even an empty minute has room for it.
    """

    what: str
    whose: str
    limit: int
    retry_after_seconds: float | None

    @property
    def sentence(self) -> str:
        """For whoever asked."""
        if self.what == "concurrency":
            return f"{self.whose} may have {self.limit} request{_plural(self.limit)} at once, and has"
        units = self.what.partition("_")[0].removesuffix("s") + _plural(self.limit)
        if self.retry_after_seconds is None:
            return f"one request of more than {self.limit} {units} can never be within the limit of {self.whose}"
        return f"{self.whose} may use {self.limit} {units} a minute, and has"


def _plural(count: int) -> str:
    return "" if count == 1 else "s"


@dataclass(slots=True)
class Meter:
    """One key's or team's use."""

    name: str
    requests: Minute = field(default_factory=Minute)
    tokens: Minute = field(default_factory=Minute)
    at_once: int = 0

    def refuses(self, limits: KeyLimits, *, tokens: int, now: float) -> TooMuch | None:
        """What stands in the way of one more request of so many predicted tokens. Nothing is booked."""
        if limits.concurrency is not None and self.at_once >= limits.concurrency:
            return TooMuch(what="concurrency", whose=self.name, limit=limits.concurrency, retry_after_seconds=1.0)
        for what, minute, units in (
            ("requests_per_minute", self.requests, 1),
            ("tokens_per_minute", self.tokens, tokens),
        ):
            limit: int | None = getattr(limits, what)
            wait = 0.0 if limit is None else minute.wait_seconds(units, limit, now)
            if limit is not None and wait != 0.0:
                return TooMuch(what=what, whose=self.name, limit=limit, retry_after_seconds=wait)
        return None

    def enter(self, *, tokens: int, now: float) -> None:
        """A request begins: predicted tokens count until it is known better."""
        self.at_once += 1
        self.requests.add(1, now)
        self.tokens.add(tokens, now)

    def leave(self, *, predicted: int, used: int | None, now: float) -> None:
        """It has ended. `used` None: nobody counted, and the prediction stands."""
        self.at_once -= 1
        if used is not None:
            self.tokens.add(used - predicted, now)


@dataclass(frozen=True, slots=True)
class InUse:
    """What a name uses now: of the last minute, and at once. None: nobody bounds it, so nobody counts."""

    requests: int | None = None
    tokens: int | None = None
    at_once: int | None = None


class Meters:
    """The meters of keys and teams. What nobody limits is not measured; what is at rest is forgotten in time."""

    def __init__(self, *, most: int = 10_000) -> None:
        self._meters: dict[str, Meter] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._meters)

    def enter(
        self, limited: tuple[tuple[str, KeyLimits], ...], *, tokens: int, now: float
    ) -> TooMuch | Callable[[int | None, float], None]:
        """Let a request of `tokens` in under all of `limited` (name and limits), or under none of them.

        What to call when it has ended: with the tokens that it used (None = unknown), and the time; once.
        """
        meters = [self._of(name, now) for name, limits in limited if _bounded(limits)]
        for meter, limits in zip(meters, (one for _, one in limited if _bounded(one)), strict=True):
            problem = meter.refuses(limits, tokens=tokens, now=now)
            if problem is not None:
                return problem
        for meter in meters:
            meter.enter(tokens=tokens, now=now)
        open_now = [True]

        def left(used: int | None, at: float) -> None:
            if open_now:
                open_now.clear()
                for meter in meters:
                    meter.leave(predicted=tokens, used=used, now=at)

        return left

    def used(self, name: str, now: float) -> InUse:
        """What a name uses now."""
        meter = self._meters.get(name)
        if meter is None:
            return InUse()
        meter.requests.add(0, now)
        meter.tokens.add(0, now)
        return InUse(meter.requests.used, meter.tokens.used, meter.at_once)

    def _of(self, name: str, now: float) -> Meter:
        found = self._meters.get(name)
        if found is None:
            if len(self._meters) >= self._most:
                self._forget(now)
            found = self._meters[name] = Meter(name)
        return found

    def _forget(self, now: float) -> None:
        for name, meter in list(self._meters.items()):
            meter.requests.add(0, now)
            meter.tokens.add(0, now)
            if not (meter.at_once or meter.requests.used or meter.tokens.used):
                del self._meters[name]


def _bounded(limits: KeyLimits) -> bool:
    """Whether it says anything of a minute or of requests at once."""
    return not (limits.concurrency is limits.requests_per_minute is limits.tokens_per_minute is None)
