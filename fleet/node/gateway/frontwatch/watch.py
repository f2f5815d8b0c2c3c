"""The watch of a front, put together: looks at what the book of nodes heard, tells people, and does what was decided.

It takes nothing from traffic: every round is a task of its own, and no round is fatal.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

import aiohttp

from fleet.node.gateway.caller import HttpCaller
from fleet.node.gateway.frontwatch.families import NodeView, WatchView
from fleet.node.gateway.frontwatch.hook import Switch
from fleet.node.gateway.frontwatch.life import SignsOfLife
from fleet.node.gateway.frontwatch.looks import Look, due, restarted, turned
from fleet.node.gateway.frontwatch.peers import EVERY_SECONDS, Peers
from fleet.node.gateway.frontwatch.ping import Able, Pinger, serves
from fleet.node.gateway.frontwatch.post import Poster
from fleet.node.gateway.frontwatch.postman import Postman
from fleet.node.gateway.frontwatch.store import WatchStore
from fleet.node.gateway.frontwatch.teller import Teller
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.nodebook import Heard, NodeBook
from fleet.node.gateway.reload import Current
from fleet.traffic.config import FleetWatch
from fleet.vocabulary.contracts.gateway_admin import NodeWords
from fleet.vocabulary.contracts.notice import Notice

_LOG = logging.getLogger(__name__)
LOOK_SECONDS = 0.25
KEEP_SECONDS = 60.0
"""How often the states are written when nothing changed."""


class FrontWatch:
    """`follow` starts it, and makes it follow a new configuration; without a `watch` there it rests."""

    def __init__(
        self,
        *,
        current: Current,
        book: NodeBook,
        session: aiohttp.ClientSession,
        journal: Journal,
        able: Able | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._current = current
        self._book = book
        self._session = session
        self._journal = journal
        self._able = able or (lambda: serves(session, current.loaded.config.listen))
        self._now = now
        self._monotonic = monotonic
        self._caller = HttpCaller()
        config = current.loaded.config
        self._store = WatchStore(config.state_dir)
        self._memory = restarted(self._store.memory(), now())
        self._postman = Postman(config.node, self._store, journal, now=now)
        self._teller = Teller(config.state_dir, self._postman, journal, now=now)
        self._pinger = Pinger(session, journal)
        self._peers = Peers(self._caller)
        self._life = SignsOfLife(config.node, book, self._peers, now=now, monotonic=monotonic)
        self._switch = Switch(self._store, journal, now=now)
        self._looked: dict[str, float] = {}
        self._kept_at = monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    def follow(self) -> None:
        """Watch what the configuration of the moment names."""
        self._stop()
        loaded = self._current.loaded
        watch = loaded.config.watch
        self._peers.follow(watch.peers if watch is not None else ())
        self._life.follow({node.node for node in watch.nodes} if watch is not None else set())
        if watch is None:
            return
        rounds = ((self.look, LOOK_SECONDS), (self.ask, EVERY_SECONDS))
        self._tasks = [asyncio.ensure_future(_on_and_on(once, seconds)) for once, seconds in rounds]
        if loaded.webhook is not None:
            poster = Poster(self._session, loaded.webhook)
            self._tasks.append(asyncio.ensure_future(_on_and_on(lambda: self._postman.run(poster), LOOK_SECONDS)))
        if loaded.ping is not None:
            ping, seconds = loaded.ping, watch.ping_seconds
            run = self._pinger.run(ping, seconds=seconds, able=self._able)
            self._tasks.append(asyncio.ensure_future(run))

    async def close(self) -> None:
        """Stop, and keep what is known."""
        tasks = self._stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._switch.close()
        if self._current.loaded.config.watch is not None:
            self._keep()
        self._caller.close()

    async def look(self) -> None:
        """One look at everybody: what changed is told."""
        watch = self._watch
        if watch is None:
            return
        now, was_cut_off = self._now(), self._memory.cut_off
        known = frozenset(node.node for node in watch.nodes)
        heard = self._fresh(known)
        look = Look(
            front=self._current.loaded.config.node,
            heard=heard,
            peers=self._peers.answers,
            doors=self._life.doors(watch),
            answering=self._life.answering(watch),
            known=known,
            ssh=self._life.knocker.answers,
        )
        self._memory, told = turned(self._memory, look, now)
        if self._memory.cut_off or was_cut_off:
            self._life.forgive()
        self._teller.tell(told, webhook=self._current.loaded.webhook is not None)
        if told or self._monotonic() - self._kept_at >= KEEP_SECONDS:
            self._keep()

    async def ask(self) -> None:
        """Ask the other fronts, knock at SSH ports, and switch the power of what is dead."""
        watch, life = self._watch, self._life
        if watch is None:
            return
        await asyncio.gather(self._peers.round(), life.knock(watch))
        if watch.power is None:
            return
        for name, answer in life.knocker.answers.items():
            if answer.answers:
                self._switch.saw_ssh(name)
        if not self._memory.cut_off:
            self._switch.consider(watch.power, life.signs(watch), peer_answers=life.peer_answers(watch))

    def say(self, notice: Notice) -> None:
        """Tell people something that is no fault of a node: to the journal, and the webhook where there is one."""
        self._journal.warn("told", check=notice.check, subject=notice.subject or None, text=notice.what)
        if self._current.loaded.webhook is not None:
            self._postman.post(notice)

    def words(self) -> NodeWords:
        """For `GET /admin/nodes`."""
        front = self._current.loaded.config.node
        return NodeWords(node=front, at_seconds=self._now(), nodes=tuple(one.word for one in self._book.all()))

    def view(self) -> WatchView | None:
        """For the metrics; None while nothing is watched."""
        watch, loaded = self._watch, self._current.loaded
        if watch is None:
            return None
        ping = self._pinger
        return WatchView(
            nodes=tuple(self._node_view(node.node) for node in watch.nodes),
            fronts={name: answer.answers for name, answer in self._peers.answers.items()},
            alone=self._memory.cut_off,
            outbox=self._postman.outbox if loaded.webhook is not None else None,
            pings={"ok": ping.ok, "failed": ping.failed, "withheld": ping.withheld}
            if loaded.ping is not None
            else None,
            power_runs=self._switch.runs if watch.power is not None else None,
            write_failures=self._teller.write_failures + self._postman.write_failures,
        )

    @property
    def _watch(self) -> FleetWatch | None:
        return self._current.loaded.config.watch

    def _stop(self) -> list[asyncio.Task[None]]:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        return tasks

    def _fresh(self, known: Collection[str]) -> tuple[Heard, ...]:
        """The attempts to look at now."""
        found = due((one for one in self._book.all() if one.node in known), self._looked)
        self._looked.update((one.node, one.tried_at_seconds or 0.0) for one in found)
        self._life.note(found)
        return found

    def _keep(self) -> None:
        self._kept_at = self._monotonic()
        try:
            self._store.save_memory(self._memory)
        except OSError as error:
            self._teller.failed(error)

    def _node_view(self, name: str) -> NodeView:
        heard, state = self._book.heard(name), self._memory.nodes.get(name)
        if heard is None or heard.tried_at_seconds is None:
            return NodeView(node=name, up=self._life.ssh(name).answers, state=state)
        age = None if heard.heard_at_seconds is None else max(0.0, self._now() - heard.heard_at_seconds)
        return NodeView(node=name, up=not heard.problem, age_seconds=age, state=state)


async def _on_and_on(once: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do it, wait, and do it again. A bug in it is told, and ends nothing."""
    while True:
        try:
            await once()
        except Exception:  # noqa: BLE001 (told; the next round may do)
            _LOG.exception("a bug ended a round of the watch")
        await asyncio.sleep(seconds)
