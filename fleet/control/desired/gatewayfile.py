"""gateway.json: what the gateway of a node routes to. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleet.control.desired.apiupstreams import api_upstreams
from fleet.control.desired.gatewayroutes import queue_of, routes_of, timeouts_of
from fleet.control.desired.manifests import Manifests
from fleet.control.desired.policyfile import policy_of
from fleet.control.desired.roster import Roster
from fleet.control.desired.sidecarupstreams import edge_upstreams, own_upstream
from fleet.control.desired.watchfile import watch_of, wellness_of
from fleet.errors import InventoryError
from fleet.traffic.config import GatewayConfig, Listen, Timeouts
from fleet.vocabulary.hosts import is_address, is_loopback
from fleet.vocabulary.names import GatewayRole, NodeName

DRAIN_SECONDS = 20.0
STATE_DIR = "gateway"
"""Below var/ of the node: what must outlive a restart of the gateway, the operator's intent first of all."""


def gateway_config(
    own: Roster,
    rosters: Mapping[NodeName, Roster],
    *,
    role: GatewayRole,
    manifests: Manifests,
    agent: bool,
) -> GatewayConfig:
    """The configuration of a node's gateway. `manifests` are of all nodes. Raises ConfigError, NotAdopted."""
    settings, layout = own.node.settings, own.layout
    models = manifests.get(own.node.name, {})
    upstreams = [own_upstream(own, sidecar, models.get(sidecar.model)) for sidecar in own.sidecars]
    if role is GatewayRole.FRONT:
        upstreams += edge_upstreams(own, rosters, manifests)
        upstreams += api_upstreams(own)
    return GatewayConfig(
        node=own.node.name,
        role=role,
        listen=_listen(own),
        keys_file=layout.etc("keys.json"),
        upstreams=tuple(upstreams),
        routes=routes_of(own, upstreams),
        agent_port=settings.agent_port if agent else None,
        agent_token_file=layout.etc("agent.token") if agent else None,
        allowed_hosts=_host_names(own),
        timeouts=timeouts_of(settings.gateway_timeouts, Timeouts()),
        queue=queue_of(settings.gateway_queue),
        drain_seconds=DRAIN_SECONDS,
        admin_port=settings.gateway_admin_port,
        state_dir=layout.var(STATE_DIR),
        log_file=layout.log("gateway.log"),
        wellness=wellness_of(settings.health_routing),
        watch=watch_of(own, rosters) if role is GatewayRole.FRONT else None,
        policy=policy_of(own, rosters) if role is GatewayRole.FRONT else None,
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


def _host_names(own: Roster) -> tuple[str, ...]:
    """Names that clients may use for the node; IP addresses and its own name always may."""
    settings = own.node.settings
    names = (settings.gateway_url_host, settings.address)
    return tuple(dict.fromkeys(name for name in names if name and not is_address(name)))
