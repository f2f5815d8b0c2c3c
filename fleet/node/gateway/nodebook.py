"""The book of nodes: the last snapshot of every node that matters to this gateway, and when and how it came.

Its own node's comes from the agent over loopback, another's from `/node/snapshot` of its edge (TLS pin, our key there).
Who wants to know at once listens. Nothing here holds up traffic: each node has its own task, deadline and back-off.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import aiohttp
import msgspec

from fleet.engines import engine
from fleet.engines.error_text import read_error
from fleet.node.gateway.agent_client import fetch_snapshot
from fleet.node.gateway.caller import Caller
from fleet.node.gateway.config import Loaded
from fleet.node.gateway.failures import UpstreamFailure
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.node_sources import Source, sources
from fleet.traffic.config import GatewayConfig, Upstream
from fleet.traffic.openai_error import Refused
from fleet.vocabulary.contracts.gateway_admin import NodeWord
from fleet.vocabulary.contracts.snapshot import Snapshot

_LOG = logging.getLogger(__name__)
_PATH = "/node/snapshot"
_LONGEST_BYTES = 4 * 1024 * 1024
_PATIENCE_SECONDS = 5.0
_LONGEST_GAP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of one node. Times: `_at` are monotonic, `_seconds` Unix time, all by this gateway's clocks.

    `heard_at` is when it answered last, `new_at` when the sample that it answered came for the first time (an agent
    that hangs goes on with an old one). `problem` says why the last try brought nothing, "" = it did. `reached`: its
    edge answered then, whatever it said of its agent. `address` (HOST:PORT) is where its edge is, "" = nowhere known.
    """

    node: str
    address: str = ""
    snapshot: Snapshot | None = None
    heard_at: float | None = None
    new_at: float | None = None
    heard_at_seconds: float | None = None
    tried_at_seconds: float | None = None
    problem: str = ""
    reached: bool = False

    @property
    def word(self) -> NodeWord:
        """The same for `GET /admin/nodes`."""
        heard, new = self.heard_at, self.new_at
        return NodeWord(
            node=self.node,
            address=self.address,
            heard_at_seconds=self.heard_at_seconds,
            sample_age_seconds=None if heard is None or new is None else max(0.0, heard - new),
            tried_at_seconds=self.tried_at_seconds,
            problem=self.problem,
            snapshot=self.snapshot,
        )


Told = Callable[[Heard], None]


class _NoSnapshot(Exception):
    """An attempt brought nothing. `reached`: the node's edge answered."""

    def __init__(self, problem: str, *, reached: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.reached = reached


class NodeBook:
    """The snapshots by node. `follow` after every change of the configuration; it starts the reading too.

    `planned` names what a deploy stops and starts on this node just now; of others their gateways say so. `now` is the
    wall clock, `monotonic` that of `Heard`'s `_at`.
    """

    def __init__(
        self,
        *,
        caller: Caller,
        session: aiohttp.ClientSession,
        config: Callable[[], GatewayConfig],
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._caller = caller
        self._session = session
        self._config = config
        self._now = now
        self._monotonic = monotonic
        self._heard: dict[str, Heard] = {}
        self._tasks: dict[Source, asyncio.Task[None]] = {}
        self._listeners: list[Told] = []
        self.planned: Callable[[], tuple[str, ...]] = tuple

    def listen(self, told: Told) -> None:
        """Call `told` after every attempt at any node, also one that brought nothing or the same sample again."""
        self._listeners.append(told)

    def heard(self, node: str) -> Heard | None:
        """What is known of a node; None = it is none of ours. A node that never answered has no snapshot."""
        return self._heard.get(node)

    def all(self) -> tuple[Heard, ...]:
        """Every node that is read, the own one first."""
        return tuple(self._heard.values())

    def follow(self, loaded: Loaded) -> None:
        """Read the nodes of this configuration, and no others. What is known of those that stay, stays."""
        wanted = {source.node: source for source in sources(loaded)}
        self._heard = {name: _known(source, self._heard.get(name)) for name, source in wanted.items()}
        for source in set(self._tasks) - set(wanted.values()):
            self._tasks.pop(source).cancel()
        for source in wanted.values():
            if source not in self._tasks and (source.own or source.url is not None):
                self._tasks[source] = asyncio.get_running_loop().create_task(self._watch(source))

    async def close(self) -> None:
        """Stop reading. What was heard stays."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, source: Source) -> None:
        ask = self._asker(source)
        missed = 0
        while True:
            try:
                missed = 0 if await self._try(source, ask) else missed + 1
            except Exception:  # noqa: BLE001 (booked; the next attempt may do)
                _LOG.exception("a bug ended the reading of a node")
            every = self._config().wellness.every_seconds
            await asyncio.sleep(min(every * 2.0 ** min(missed, 8), max(every, _LONGEST_GAP_SECONDS)))

    async def _try(self, source: Source, ask: LiveUpstream | None) -> bool:
        """One attempt; whether it brought a snapshot."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                snapshot = await self._from_agent() if ask is None else await self._from_edge(ask)
        except TimeoutError:
            self._book(source, problem=f"no answer within {_PATIENCE_SECONDS:g} s", reached=False)
        except _NoSnapshot as nothing:
            self._book(source, problem=nothing.problem, reached=nothing.reached)
        else:
            self._take(source, snapshot)
            return True
        return False

    async def _from_agent(self) -> Snapshot:
        try:
            said = _snapshot(await fetch_snapshot(self._session, self._config()))
            return msgspec.structs.replace(said, planned=self.planned())
        except Refused as refused:
            raise _NoSnapshot(refused.error.message, reached=True) from None

    async def _from_edge(self, ask: LiveUpstream) -> Snapshot:
        connect_seconds = self._config().timeouts.connect_seconds
        try:
            status, body = await self._caller.get(
                ask, _PATH, longest_bytes=_LONGEST_BYTES, connect_seconds=connect_seconds
            )
        except UpstreamFailure as failure:
            raise _NoSnapshot(f"its edge: {failure.error.message}", reached=False) from None
        if status != 200:
            said = read_error(body).message
            raise _NoSnapshot(f"its edge answered {status}{f': {said}' if said else ''}", reached=True)
        return _snapshot(body)

    def _take(self, source: Source, snapshot: Snapshot) -> None:
        before = self._heard.get(source.node)
        if before is None:
            return
        at = self._monotonic()
        again = before.snapshot is not None and before.snapshot.at_seconds == snapshot.at_seconds
        wall = self._now()
        self._say(
            replace(
                before,
                snapshot=snapshot,
                heard_at=at,
                new_at=before.new_at if again else at,
                heard_at_seconds=wall,
                tried_at_seconds=wall,
                problem="",
                reached=True,
            )
        )

    def _book(self, source: Source, *, problem: str, reached: bool) -> None:
        before = self._heard.get(source.node)
        if before is not None:
            self._say(replace(before, tried_at_seconds=self._now(), problem=problem, reached=reached))

    def _say(self, heard: Heard) -> None:
        self._heard[heard.node] = heard
        for told in self._listeners:
            told(heard)

    def _asker(self, source: Source) -> LiveUpstream | None:
        """Whom to ask at the edge; None = the agent of this machine."""
        if source.own or source.url is None:
            return None
        spec = Upstream(
            name=f"edge of {source.node}",
            kind="edge",
            url=source.url,
            engine="openai_compatible",
            serves="",
            model="",
            node=source.node,
            pin=source.pin,
        )
        return LiveUpstream(spec, engine("edge"), source.key)


def _known(source: Source, before: Heard | None) -> Heard:
    """What stays known of a node when it is asked at `source`."""
    heard = replace(before or Heard(node=source.node), address=_address(source.url))
    return heard if source.own or source.url is not None else replace(heard, problem="it has no edge to ask")


def _snapshot(body: bytes) -> Snapshot:
    try:
        return msgspec.json.decode(body, type=Snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _NoSnapshot("its snapshot cannot be read", reached=True) from None


def _address(url: str | None) -> str:
    """HOST:PORT of a base URL."""
    return urlsplit(url).netloc.rpartition("@")[2] if url else ""
