"""Where a gateway asks for the snapshots of nodes: its own agent, and one edge for every other node. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.node.gateway.config import Loaded
from fleet.traffic.config import Upstream
from fleet.vocabulary.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Source:
    """One node. `url` is its edge's, None = it has none; `own`: its agent is on this machine, and is asked instead."""

    node: str
    url: str | None = None
    pin: str | None = None
    key: Secret | None = None
    own: bool = False


def node_of(upstream: Upstream) -> str:
    """The name under which the node of an upstream is booked. One without a name goes by its address."""
    return upstream.node or upstream.url


def sources(loaded: Loaded) -> tuple[Source, ...]:
    """Every node once: this one where it has an agent, then those of the edges, then those that are only watched."""
    config = loaded.config
    found: dict[str, Source] = {}
    for one in _edges(loaded):
        found.setdefault(one.node, one)
    if config.agent_port is not None:
        edge = found.pop(config.node, None)
        own = Source(node=config.node, url=edge.url if edge is not None else None, own=True)
        found = {config.node: own, **found}
    return tuple(found.values())


def _edges(loaded: Loaded) -> Iterator[Source]:
    seen: set[str] = set()
    for one in loaded.config.upstreams:
        if one.kind == "edge" and one.url not in seen:
            seen.add(one.url)
            yield Source(node=node_of(one), url=one.url, pin=one.pin, key=loaded.upstream_keys.get(one.name))
    watch = loaded.config.watch
    for node in watch.nodes if watch is not None else ():
        yield Source(node=node.node, url=node.url, pin=node.pin, key=loaded.watch_keys.get(node.node))
