"""Proving upstreams: a sidecar by a completion of one token, an edge by what it says of its own, an API for free.

A probe is skipped while real answers prove the same. It runs beside the traffic and takes no place from it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from fleet.engines import Probe
from fleet.engines.error_text import shown
from fleet.node.gateway.caller import Caller
from fleet.node.gateway.failures import UpstreamFailure, broken, timed_out
from fleet.node.gateway.upstreams import LiveUpstream, Upstreams
from fleet.traffic.chat_stream import ChatStreamReader, Done, Fault
from fleet.traffic.choice import Readiness
from fleet.traffic.config import GatewayConfig
from fleet.traffic.wellness import Standing
from fleet.vocabulary.names import Intent

_LOG = logging.getLogger(__name__)
_LIST_BYTES = 1024 * 1024
_MOST_REASONS = 6
_PROBE_HEADERS = {"x-fleet-request-id": "probe"}


class Prober:
    """One task per upstream. `follow` after every change of the configuration."""

    def __init__(self, *, caller: Caller, upstreams: Upstreams, config: Callable[[], GatewayConfig]) -> None:
        self._caller = caller
        self._upstreams = upstreams
        self._config = config
        self._tasks: dict[LiveUpstream, asyncio.Task[None]] = {}

    def follow(self) -> None:
        """Probe what is configured now, and nothing else."""
        wanted = set(self._upstreams.live.values())
        for upstream in set(self._tasks) - wanted:
            self._tasks.pop(upstream).cancel()
        for upstream in wanted - set(self._tasks):
            self._tasks[upstream] = asyncio.get_running_loop().create_task(self._watch(upstream))

    async def close(self) -> None:
        """Stop."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, upstream: LiveUpstream) -> None:
        missed = 0
        while True:
            try:
                missed = await self._probe(upstream, missed)
            except Exception:  # noqa: BLE001 (booked; the next probe may say more)
                _LOG.exception("a bug ended a probe")
            probing = self._config().probing
            upstream.changed.clear()
            if upstream.spec.kind == "api":
                await asyncio.sleep(probing.idle_seconds)
                continue
            if upstream.readiness is not Readiness.READY:
                await asyncio.sleep(probing.down_seconds)
                continue
            gap = probing.edge_seconds if upstream.spec.kind == "edge" else probing.idle_seconds
            try:
                async with asyncio.timeout(gap):
                    await upstream.changed.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(probing.down_seconds)

    async def _probe(self, upstream: LiveUpstream, missed: int) -> int:
        """Prove it now, where it is not fresh. `missed` probes failed in a row before; how many have now."""
        probing = self._config().probing
        kind = upstream.spec.kind
        if kind != "edge" and _fresh(upstream, probing.idle_seconds):
            return 0
        try:
            async with asyncio.timeout(probing.timeout_seconds):
                await self._ask(upstream)
        except TimeoutError:
            if upstream.in_flight:  # a busy server answers its requests first; their own limits judge it
                return missed
            failure = timed_out(f"no answer within {probing.timeout_seconds:g} s")
        except UpstreamFailure as found:
            failure = found
        else:
            if kind == "api":
                upstream.reached(time.monotonic())
            else:
                upstream.proved(time.monotonic())
            return 0
        if upstream.pace is not None:
            upstream.pace.failed(failure, time.monotonic())
        error = failure.error
        if kind == "api":
            if error.eject:
                upstream.failed(time.monotonic(), error.message, out=True)
        elif error.eject or kind == "edge" or missed + 1 >= probing.failures:
            upstream.refuted(error.message)
        return missed + 1

    async def _ask(self, upstream: LiveUpstream) -> None:
        """What proves most of it, and costs no money: an API gets no completions. Raises UpstreamFailure."""
        probe = upstream.engine.ready(upstream.spec.model)
        if upstream.spec.kind == "api" and probe.method != "GET":
            probe = upstream.engine.live
        if probe.method == "GET":
            await self._get(upstream, probe)
        else:
            await self._complete(upstream, probe)

    async def _complete(self, upstream: LiveUpstream, probe: Probe) -> None:
        """A real completion. Raises UpstreamFailure."""
        reader = ChatStreamReader(parse_all=False)
        reply = await self._caller.ask(
            upstream,
            probe.path,
            msgspec.json.encode(probe.body),
            headers=_PROBE_HEADERS,
            connect_seconds=self._config().timeouts.connect_seconds,
        )
        try:
            while not reader.over:
                data = await reply.read()
                for part in reader.feed(data) if data else reader.end():
                    if isinstance(part, Fault):
                        raise broken(part.message, code=part.code)
                    if isinstance(part, Done):
                        await reply.finish()
        finally:
            reply.cut()

    async def _get(self, upstream: LiveUpstream, probe: Probe) -> None:
        """A word without a completion; an edge's is believed only when it names the model. Raises UpstreamFailure."""
        status, body = await self._caller.get(
            upstream,
            probe.path,
            longest_bytes=_LIST_BYTES,
            connect_seconds=self._config().timeouts.connect_seconds,
        )
        if status != 200:
            raise UpstreamFailure(upstream.engine.map_error(status, body))
        if upstream.spec.kind == "edge":
            said = edge_says(body, upstream.spec.model)
            upstream.intent = said.intent
            upstream.says(said.standing, said.unwell)
            if said.reason and said.intent is Intent.SERVING:
                raise broken(said.reason)


def _fresh(upstream: LiveUpstream, seconds: float) -> bool:
    """Whether a real answer has proven it lately."""
    proven = upstream.proven_at
    return upstream.readiness is Readiness.READY and proven is not None and time.monotonic() - proven < seconds


class EdgeWord(NamedTuple):
    """What a gateway says of one of its models: why it is not ready ("" = it is), and what its operator wants of it.

    `standing` is how much new work its node's health lets it have, `unwell` why not all.
    """

    reason: str
    intent: Intent = Intent.SERVING
    standing: Standing = Standing.FULL
    unwell: tuple[str, ...] = ()


def edge_says(models: bytes, wanted: str) -> EdgeWord:
    """What a gateway's list of models says of one. Total."""
    try:
        listed: Any = msgspec.json.decode(models)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return EdgeWord("its list of models cannot be read")
    entries = listed.get("data") if isinstance(listed, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("id") == wanted:
            said = entry.get("fleet")
            if not isinstance(said, dict):
                return EdgeWord("")
            standing, unwell = _standing(said)
            if said.get("ready") is True:
                return EdgeWord("", standing=standing, unwell=unwell)
            reason, status = said.get("reason"), said.get("status")
            intent = Intent(status) if status in (Intent.DRAINING.value, Intent.DRAINED.value) else Intent.SERVING
            why = reason if isinstance(reason, str) and reason else "not ready"
            return EdgeWord(why, intent, standing, unwell)
    return EdgeWord(f"it does not serve {wanted!r}")


def _standing(said: Mapping[str, Any]) -> tuple[Standing, tuple[str, ...]]:
    """What it says of its node's health. A word that is not known is none."""
    standing, unwell = said.get("standing"), said.get("unwell")
    if standing not in (Standing.LESS.value, Standing.NONE.value):
        return Standing.FULL, ()
    texts = tuple(shown(text) for text in unwell if isinstance(text, str)) if isinstance(unwell, list) else ()
    return Standing(standing), tuple(filter(None, texts[:_MOST_REASONS]))
