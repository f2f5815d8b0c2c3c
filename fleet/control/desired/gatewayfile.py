"""gateway.json: what the gateway of a node routes to. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from fleet.control.desired.keys import edges_of, reference_of, upstream_key_files
from fleet.control.desired.roster import Roster, Sidecar
from fleet.control.inventory.nearest import did_you_mean
from fleet.errors import InventoryError, NotAdopted
from fleet.traffic.config import GatewayConfig, Listen, Route, Upstream
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.hosts import is_address, is_loopback
from fleet.vocabulary.names import GatewayRole, NodeName

DRAIN_SECONDS = 20.0


def gateway_config(
    own: Roster,
    rosters: Mapping[NodeName, Roster],
    *,
    role: GatewayRole,
    manifests: Mapping[str, ModelManifest],
    agent: bool,
) -> GatewayConfig:
    """The configuration of a node's gateway. `manifests` are its own models by name. Raises ConfigError, NotAdopted."""
    settings, layout = own.node.settings, own.layout
    upstreams = [_own(own, sidecar, manifests) for sidecar in own.sidecars]
    if role is GatewayRole.FRONT:
        upstreams += _edges(own, rosters)
    return GatewayConfig(
        node=own.node.name,
        role=role,
        listen=_listen(own),
        keys_file=layout.etc("keys.json"),
        upstreams=tuple(upstreams),
        routes=_routes(own, upstreams),
        agent_port=settings.agent_port if agent else None,
        agent_token_file=layout.etc("agent.token") if agent else None,
        allowed_hosts=_host_names(own),
        drain_seconds=DRAIN_SECONDS,
        log_file=layout.log("gateway.log"),
    )


def gateway_json(config: GatewayConfig) -> bytes:
    """The file: one key a line, in the order of the struct."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def _listen(own: Roster) -> Listen:
    settings, layout = own.node.settings, own.layout
    if settings.gateway_tls:
        return Listen(
            host=settings.gateway_bind,
            port=settings.gateway_port,
            certificate_file=layout.etc("edge.crt"),
            key_file=layout.etc("edge.key"),
        )
    if not is_loopback(settings.gateway_bind):
        raise InventoryError(
            f"gateway_tls is false and gateway_bind is {settings.gateway_bind}: keys and prompts would be readable",
            node=own.node.name,
            place=own.node.place,
            hint="leave gateway_tls out, or bind 127.0.0.1",
        )
    return Listen(host=settings.gateway_bind, port=settings.gateway_port)


def _own(own: Roster, sidecar: Sidecar, manifests: Mapping[str, ModelManifest]) -> Upstream:
    manifest = manifests.get(sidecar.model)
    return Upstream(
        name=sidecar.service,
        kind="sidecar",
        url=sidecar.url,
        engine=sidecar.engine,
        serves=sidecar.serves,
        model=sidecar.asked,
        node=own.node.name,
        context_tokens=sidecar.context_tokens or (manifest.context_tokens if manifest else None),
        max_in_flight=sidecar.max_in_flight,
    )


def _edges(front: Roster, rosters: Mapping[NodeName, Roster]) -> Iterator[Upstream]:
    files = upstream_key_files(front, rosters)
    for other in edges_of(front, rosters):
        settings = other.node.settings
        if settings.gateway_tls and not settings.edge_key:
            raise NotAdopted(
                f"{front.node.name} routes to its edge, and its edge_key is not pinned",
                node=other.node.name,
                hint=f"fleet adopt {other.node.name}",
            )
        for serves in dict.fromkeys(sidecar.serves for sidecar in other.sidecars):
            same = [sidecar for sidecar in other.sidecars if sidecar.serves == serves]
            contexts = [sidecar.context_tokens for sidecar in same if sidecar.context_tokens]
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
                context_tokens=min(contexts) if len(contexts) == len(same) else None,
                max_in_flight=sum(sidecar.max_in_flight for sidecar in same),
            )


def _routes(own: Roster, upstreams: list[Upstream]) -> tuple[Route, ...]:
    """The inventory's routes, then one for every served model; the default one first."""
    served: dict[str, list[str]] = {}
    for upstream in upstreams:
        served.setdefault(upstream.serves, []).append(upstream.name)
    settings, found = own.node.settings, {}
    if own.role is GatewayRole.FRONT:
        for name, models in settings.routes.items():
            unknown = [model for model in models if model not in served]
            if unknown:
                raise InventoryError(
                    f"routes: {name!r} names {unknown[0]!r}, which no sidecar serves",
                    node=own.node.name,
                    place=own.node.place,
                    hint=did_you_mean(unknown[0], served) or f"served: {', '.join(served) or 'nothing'}",
                )
            found[name] = tuple(dict.fromkeys(upstream for model in models for upstream in served[model]))
    found |= {name: tuple(names) for name, names in served.items() if name not in found}
    first = settings.default_route if own.role is GatewayRole.FRONT else None
    if first is not None and first not in found:
        raise InventoryError(
            f"default_route {first!r} is neither a route nor a served model",
            node=own.node.name,
            place=own.node.place,
            hint=did_you_mean(first, found) or f"there is: {', '.join(found) or 'nothing'}",
        )
    order = sorted(found, key=lambda name: name != first)
    return tuple(Route(name=name, upstreams=found[name]) for name in order)


def _host_names(own: Roster) -> tuple[str, ...]:
    """Names that clients may use for the node; IP addresses and its own name always may."""
    settings = own.node.settings
    names = (settings.gateway_url_host, settings.address)
    return tuple(dict.fromkeys(name for name in names if name and not is_address(name)))
