"""What is known of the health of all nodes, kept beside the events, so that `since` outlives the command.

Two commands at once share one book: each look reads it, steps, and writes it under a lock.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec

from fleet.control.watch.wanted import NOTHING_WANTED, Wanted, turned_intents
from fleet.vocabulary.eventfiles import EventFiles
from fleet.vocabulary.health.sample import Sample, Silence
from fleet.vocabulary.health.state import NodeState, Transition
from fleet.vocabulary.health.step import departed, step, woke
from fleet.vocabulary.names import Health, NodeName

LAPTOP_CHECK = "laptop_offline"
FORGOTTEN_AFTER_SECONDS = 86400.0
"""A node that is not in this inventory may be in another one of the project: its state is kept for a day."""
_LAPTOP_NEXT = "nothing is known of the nodes until it is back; they go on serving"
_LAPTOP_DO = "look at this laptop's network or VPN; then fleet status"


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """Every node's state, those that do not just serve, and since when this laptop itself is offline."""

    nodes: dict[str, NodeState] = {}
    drained: dict[str, Wanted] = {}
    laptop_offline_since_seconds: float | None = None
    laptop_problem: str = ""
    schema: int = 1


class HealthBook:
    """The states in a folder, with the events beside them. A disk that cannot be written costs only the memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "state.json"
        self._events = EventFiles(folder)
        self._pages = Pages()
        self._written: tuple[int, int, int] | None = None

    def look(
        self,
        seen: Mapping[NodeName, Sample | Silence],
        now: datetime,
        *,
        known: Collection[NodeName],
        wanted: Mapping[NodeName, Wanted] = NOTHING_WANTED,
        laptop: str = "",
        slept: bool = False,
    ) -> Mapping[str, NodeState]:
        """The states after this look; what changed is written down. `known` are the nodes that there are.

        `wanted` is the intent of those that told it. `laptop` says why this laptop itself is offline: then the nodes'
        silence is none of theirs.
        """
        with self._locked() as writable:
            pages = self._loaded()
            names = frozenset(map(str, known))
            after, told = turned(pages, seen, now.timestamp(), known=names, laptop=laptop, slept=slept)
            there = names | after.nodes.keys()
            drained, changes = turned_intents(after.drained, wanted, now.timestamp(), known=there)
            after, told = msgspec.structs.replace(after, drained=drained), (*told, *changes)
            self._pages = after
            if writable:
                with suppress(OSError):
                    self._write(after, told, now)
        return after.nodes

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            yield False
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield True
        finally:
            os.close(descriptor)

    def _loaded(self) -> Pages:
        """What is on disk; what this book itself wrote last is not read again."""
        try:
            if self._signature() == self._written:
                return self._pages
            return msgspec.json.decode(self._file.read_bytes(), type=Pages)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return self._pages

    def _signature(self) -> tuple[int, int, int]:
        found = self._file.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _write(self, pages: Pages, told: tuple[Transition, ...], now: datetime) -> None:
        """The events first: a crash between the two tells a change twice, and never not at all."""
        if told:
            self._events.append(told)
            self._events.prune(now)
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".state-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(pages))
            Path(name).replace(self._file)
            self._written = self._signature()
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def turned(
    pages: Pages,
    seen: Mapping[NodeName, Sample | Silence],
    now_seconds: float,
    *,
    known: Collection[str],
    laptop: str = "",
    slept: bool = False,
) -> tuple[Pages, tuple[Transition, ...]]:
    """The pages after one look at some nodes, and what changed. Pure."""
    told: list[Transition] = []
    nodes: dict[str, NodeState] = {}
    offline = pages.laptop_offline_since_seconds
    for name, state in pages.nodes.items():
        if name in known:
            nodes[name] = woke(state, now_seconds) if slept or offline is not None or laptop else state
        elif now_seconds - state.at_seconds < FORGOTTEN_AFTER_SECONDS:
            nodes[name] = state
        else:
            told += departed(state, now_seconds)
    if laptop and offline is None:
        told.append(_laptop(laptop, now_seconds, now_seconds, after=Health.CRITICAL))
        offline = now_seconds
    elif not laptop and offline is not None:
        told.append(_laptop(pages.laptop_problem, offline, now_seconds, after=Health.OK))
        offline = None
    for name, look in () if laptop else seen.items():
        nodes[name], changes = step(nodes.get(name, NodeState(node=name)), look, now_seconds)
        told += changes
    after = msgspec.structs.replace(pages, nodes=nodes, laptop_offline_since_seconds=offline, laptop_problem=laptop)
    return after, tuple(told)


def _laptop(problem: str, began: float, now: float, *, after: Health) -> Transition:
    ends = after is Health.OK
    return Transition(
        at_seconds=now,
        node="",
        check=LAPTOP_CHECK,
        before=Health.CRITICAL if ends else Health.OK,
        after=after,
        began_seconds=min(began, now),
        since_seconds=now,
        text=f"this laptop is offline: {problem}",
        next="" if ends else _LAPTOP_NEXT,
        do="" if ends else _LAPTOP_DO,
    )
