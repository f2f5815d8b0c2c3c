"""Sidecars as upstreams: of their own node's gateway, and of a front that reaches them through an edge. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fleet.control.desired.fit import kv_reserve
from fleet.control.desired.fitting import load
from fleet.control.desired.keys import edges_of, reference_of, upstream_key_files
from fleet.control.desired.manifests import Manifests
from fleet.control.desired.roster import Roster, Sidecar
from fleet.engines import engine
from fleet.errors import NotAdopted
from fleet.traffic.config import Upstream
from fleet.traffic.work import Work
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.names import NodeName

PROMPT_CACHE_SIZE = 8
"""What fleet starts `mlx_lm server` with when the task says nothing (engines/mlx_lm_options.py)."""


def own_upstream(own: Roster, sidecar: Sidecar, manifest: ModelManifest | None) -> Upstream:
    """A sidecar of the gateway's own node."""
    return Upstream(
        name=sidecar.service,
        kind="sidecar",
        url=sidecar.url,
        engine=sidecar.engine,
        serves=sidecar.serves,
        model=sidecar.asked,
        node=own.node.name,
        context_tokens=context_tokens(sidecar, manifest),
        max_in_flight=sidecar.max_in_flight,
        kv_bytes_per_token=manifest.kv_bytes_per_token if manifest else None,
        kv_bytes=live_kv_bytes(sidecar, manifest),
        prompt_cache_size=prompt_cache_size(sidecar),
    )


def edge_upstreams(front: Roster, rosters: Mapping[NodeName, Roster], manifests: Manifests) -> Iterator[Upstream]:
    """What the other nodes serve, one upstream for each node and served model. Raises NotAdopted."""
    files = upstream_key_files(front, rosters)
    for other in edges_of(front, rosters):
        settings, known = other.node.settings, manifests.get(other.node.name, {})
        if settings.gateway_tls and not settings.edge_key:
            raise NotAdopted(
                f"{front.node.name} routes to its edge, and its edge_key is not pinned",
                node=other.node.name,
                hint=f"fleet adopt {other.node.name}",
            )
        for serves in dict.fromkeys(sidecar.serves for sidecar in other.sidecars):
            same = [(one, known.get(one.model)) for one in other.sidecars if one.serves == serves]
            # A request runs on one sidecar, whichever the edge takes: its context is the smallest, a token costs the
            # most that it may cost. Room, places and remembered prompts are of all together: the edge deals requests
            # out to its sidecars, and the same beginning to the same one.
            yield Upstream(
                name=f"{other.node.name}/{serves}",
                kind="edge",
                url=other.gateway_url,
                engine="openai_compatible",
                serves=serves,
                model=serves,
                node=other.node.name,
                pin=settings.edge_key if settings.gateway_tls else None,
                key_file=files[reference_of(other.node, "fleet_key")],
                context_tokens=min(_all_known(context_tokens(*one) for one in same), default=None),
                max_in_flight=sum(one.max_in_flight for one, _ in same),
                kv_bytes_per_token=max(
                    _all_known(manifest.kv_bytes_per_token if manifest else None for _, manifest in same), default=None
                ),
                kv_bytes=sum(_all_known(live_kv_bytes(*one) for one in same)) or None,
                prompt_cache_size=sum(prompt_cache_size(one) for one, _ in same),
                works=_works(one.engine for one, _ in same),
            )


def context_tokens(sidecar: Sidecar, manifest: ModelManifest | None) -> int | None:
    """The longest prompt and answer: what the task says, else the model's own."""
    return sidecar.context_tokens or (manifest.context_tokens if manifest else None)


def live_kv_bytes(sidecar: Sidecar, manifest: ModelManifest | None) -> int | None:
    """What requests in flight may use of the fit's reserve: all but the prompt cache. None = no bound is known.

    Where nothing is said of the cache, the engine takes half of the reserve for it.
    """
    weighed = load(sidecar, manifest)
    reserve = kv_reserve(weighed)
    if reserve is None:
        return None
    cache = weighed.prompt_cache_bytes
    live = reserve[0] - (reserve[0] // 2 if cache is None else cache)
    return live if live > 0 else None


def prompt_cache_size(sidecar: Sidecar) -> int:
    """How many prompts its server keeps."""
    stated = sidecar.options.get("prompt_cache_size")
    return stated if isinstance(stated, int) and stated > 0 else PROMPT_CACHE_SIZE


def _works(engines: Iterable[str]) -> tuple[str, ...]:
    """What all of them may be asked for: the edge takes any of its sidecars."""
    offered = [engine(name).capabilities.works for name in engines]
    return tuple(work.value for work in Work if all(work in works for works in offered))


def _all_known(values: Iterable[int | None]) -> list[int]:
    """The values, or none at all when one of them is not known."""
    found = list(values)
    return [value for value in found if value is not None] if None not in found else []
