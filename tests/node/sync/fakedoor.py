"""A gateway's admin door in memory: what runs ends as the clock goes on, by the rules of the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.node.gateway.intent import NoSuchSidecar, Wishes, apply, report
from fleet.node.sync.gatewaydoor import Said
from fleet.vocabulary.contracts.gateway_admin import IntentRequest
from fleet.vocabulary.names import Intent


@dataclass
class FakeDoor:
    """`runs`: how many seconds what runs on each goes on, "" = on the gateway itself. `asked` is what it was told."""

    now: Callable[[], float]
    runs: dict[str, list[float]] = field(default_factory=dict)
    wishes: Wishes = field(default_factory=dict)
    closed: bool = False
    silent: bool = False
    older: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, port: int, key: str, path: str, body: Mapping[str, object] | None = None) -> Said:
        if self.silent:
            return Said(status=None, why="connection refused")
        if not key:
            return Said(status=401, why="missing or unknown key")
        if body is not None:
            self.asked.append((str(body.get("sidecar") or path.rpartition("/")[2]), str(body["intent"])))
        if path == "/admin/door":
            if self.older:
                return Said(status=404, why="not found")
            if body is not None:
                self.closed = body["intent"] != "serving"
            return Said(status=200, data={"in_flight": self.count("")})
        if body is not None:
            sidecar: Any = body.get("sidecar")
            wish = IntentRequest(intent=Intent(str(body["intent"])), sidecar=sidecar, by=str(body["by"]))
            try:
                self.wishes = apply(self.wishes, wish, sidecars=self.names, now=self.now())
            except NoSuchSidecar as error:
                return Said(status=404, why=str(error))
        flying = {name: self.count(name) for name in self.names}
        cars = [{"name": one.name, "in_flight": one.in_flight} for one in report(self.wishes, flying, now=self.now())]
        return Said(status=200, data={"sidecars": cars})

    @property
    def names(self) -> list[str]:
        return [name for name in self.runs if name]

    def count(self, name: str) -> int:
        return sum(ends > self.now() for ends in self.runs.get(name, []))

    def drained(self) -> dict[str, str]:
        return {name: wish.by for name, wish in self.wishes.items()}
