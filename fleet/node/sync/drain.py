"""Emptying services before a run stops them, and giving them work again when its gates have passed.

The gateway is told, by the node itself: a laptop may be gone by then. What a run drained is in its journal before it is
done, so that whoever finishes or reverts the run resumes it. What an operator or the agent drained stays drained: the
gateway keeps their wishes apart from ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fleet.node.sync.gatewaydoor import Door, LoopbackDoor, Said
from fleet.node.sync.journal import Journal
from fleet.node.sync.machine import Machine
from fleet.vocabulary.contracts.desired import DesiredState, Drain
from fleet.vocabulary.contracts.sync import Step

_STOPS = frozenset({"rebootstrap", "restart", "bootout"})
_POLL_SECONDS = 0.5
_TELL_SECONDS = 10.0
_CLOSED_SECONDS = 60.0
"""A gateway's door opens again by itself so long after it was last asked: this process may be killed."""
_RESUME_SECONDS = 20.0


def to_empty(todo: Iterable[Step], *, running: DesiredState | None, wanted: DesiredState) -> dict[str, Drain]:
    """What the steps stop, and how it is emptied first: as it was deployed, else as it will be. Pure. By item key."""
    ways = {
        daemon.key: daemon.drain for state in (wanted, running) if state for daemon in state.daemons if daemon.drain
    }
    return {step.key: ways[step.key] for step in todo if step.action in _STOPS and step.key in ways}


@dataclass(kw_only=True)
class _Waiting:
    """One service that is being emptied."""

    key: str
    drain: Drain
    deadline: float
    told: float
    count: int | None = None
    left: int = 0


@dataclass(frozen=True, kw_only=True)
class Drains:
    """The drains of one run. `mind` is called while it waits, and may raise what stops the run.

    `cuts`: whoever runs longer than he may is stopped all the same.
    """

    machine: Machine
    journal: Journal
    run_id: str
    mind: Callable[[], None]
    door: Door = field(default_factory=LoopbackDoor)
    cuts: bool = True

    def empty(self, todo: Iterable[Step], *, running: DesiredState | None, wanted: DesiredState) -> int:
        """Let what runs on them end, all at once, each for as long as it may. How many requests still run then.

        A gateway that cannot be asked is no reason to stop a run: nothing runs through one that is down, and an older
        one ends its requests in its own grace.
        """
        now = self.machine.clock.monotonic()
        emptied: list[_Waiting] = []
        waiting: list[_Waiting] = []
        for key, drain in to_empty(todo, running=running, wanted=wanted).items():
            self.journal.add("drain", "start", key=key, text=f"no new work; up to {drain.seconds:g} s for what runs")
            one = _Waiting(key=key, drain=drain, deadline=now + drain.seconds, told=now)
            emptied.append(one)
            if self._still(one, self._close(drain)):
                waiting.append(one)
        while waiting:
            self.mind()
            self.machine.clock.sleep(_POLL_SECONDS)
            waiting = [one for one in waiting if self._still(one, self._look(one.drain))]
        return sum(one.left for one in emptied)

    def resume(self, *states: DesiredState | None) -> None:
        """New work again, for what this run drained and nobody else wants drained. May be done twice."""
        done = [event.phase for event in self.journal.events if event.status in ("start", "ok")]
        ours = [phase for phase in done if phase in ("drain", "resume")]
        if not ours or ours[-1] == "resume":
            return
        drained = {event.key for event in self.journal.events if event.phase == "drain"}
        daemons = [item for state in states if state for item in state.daemons if item.key in drained]
        doors = {(daemon.drain.admin_port, daemon.drain.key_file) for daemon in daemons if daemon.drain}
        deadline = self.machine.clock.monotonic() + _RESUME_SECONDS
        heard = [self._reopen(port, key_file, deadline) for port, key_file in sorted(doors)]
        if not heard or any(one.ok for one in heard):
            self.journal.add("resume", "ok", text="new work again")
            return
        text = f"the gateway could not be told to send new work again: {heard[0].why}"
        self.journal.add("resume", "note", text=text, detail=f"hint: {_RESUME_BY_HAND}")

    def _still(self, one: _Waiting, said: Said) -> bool:
        """Whether to go on waiting for it; tells what became of it."""
        now = self.machine.clock.monotonic()
        if not said.ok:
            self.journal.add("drain", "note", key=one.key, text=_unasked(said))
            return False
        count = _count(one.drain, said.data)
        if not count:
            self.journal.add("drain", "ok", key=one.key, text="nothing runs on it")
            return False
        if now >= one.deadline:
            words = f"{_requests(count)} after {one.drain.seconds:g} s"
            if self.cuts:
                words += ": it is stopped all the same, they end with an error"
            self.journal.add("drain", "note", key=one.key, text=words)
            one.left = count
            return False
        if one.count is None or (count != one.count and now - one.told >= 1) or now - one.told >= _TELL_SECONDS:
            self.journal.add("drain", "progress", key=one.key, text=_requests(count))
            one.count, one.told = count, now
        return True

    def _close(self, drain: Drain) -> Said:
        if drain.sidecar is None:
            return self._shut_door(drain)
        body = {"intent": "draining", "sidecar": drain.sidecar, "by": self._by}
        return self._ask(drain.admin_port, drain.key_file, "/admin/intent", body)

    def _look(self, drain: Drain) -> Said:
        if drain.sidecar is None:
            return self._shut_door(drain)
        return self._ask(drain.admin_port, drain.key_file, "/admin/intent")

    def _shut_door(self, drain: Drain) -> Said:
        body = {"intent": "draining", "by": self._by, "seconds": _CLOSED_SECONDS}
        return self._ask(drain.admin_port, drain.key_file, "/admin/door", body)

    def _reopen(self, port: int, key_file: str, deadline: float) -> Said:
        clock, body = self.machine.clock, {"intent": "serving", "by": self._by}
        while True:
            self._ask(port, key_file, "/admin/door", body)  # one that was started again is open, an older one has none
            said = self._ask(port, key_file, "/admin/intent", body)
            if said.ok or clock.monotonic() >= deadline:
                return said
            clock.sleep(_POLL_SECONDS)

    def _ask(self, port: int, key_file: str, path: str, body: Mapping[str, object] | None = None) -> Said:
        try:
            key = (self.machine.disk.read(key_file) or b"").decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            return Said(status=None, why=f"its key cannot be read: {error}")
        return self.door.ask(port, key, path, body) if key else Said(status=None, why=f"there is no {key_file}")

    @property
    def _by(self) -> str:
        return f"deploy: {self.run_id}"


_RESUME_BY_HAND = "fleet resume NODE gives it new work"


def _count(drain: Drain, data: Mapping[str, object]) -> int:
    """How many requests run there, as the gateway says. Total: what it does not say is nothing."""
    if drain.sidecar is None:
        return _whole(data.get("in_flight"))
    cars = data.get("sidecars")
    named = [car for car in cars if isinstance(car, dict)] if isinstance(cars, list) else []
    return sum(_whole(car.get("in_flight")) for car in named if car.get("name") == drain.sidecar)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _requests(count: int) -> str:
    return f"{count} request{' still runs' if count == 1 else 's still run'}"


def _unasked(said: Said) -> str:
    if said.status is None:
        return f"not drained: its gateway does not answer ({said.why})"
    if said.status == 404:
        return "not drained: the gateway that runs does not know how; what runs has the time of its own stop"
    return f"not drained: its gateway refuses ({said.why})"
