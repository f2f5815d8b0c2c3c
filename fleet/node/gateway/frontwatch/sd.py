"""`GET /node/sd`: the gateways that a front watches, as Prometheus' http_sd fetches them. Pure.

What Prometheus needs besides (certificates to trust, the key) comes from `fleet metrics sd`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from fleet.traffic.config import GatewayConfig
from fleet.vocabulary.names import GatewayRole

METRICS_PATH = "/node/metrics"


class TargetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway."""

    targets: tuple[str, ...]
    labels: dict[str, str]


def target_groups(config: GatewayConfig) -> tuple[TargetGroup, ...]:
    """Every watched node that has a gateway, in the order of the configuration."""
    watch = config.watch
    if watch is None:
        return ()
    fronts = {peer.node for peer in watch.peers}
    if config.role is GatewayRole.FRONT:
        fronts.add(config.node)
    groups = []
    for node in watch.nodes:
        if node.url is not None:
            role = GatewayRole.FRONT if node.node in fronts else GatewayRole.EDGE
            parts = urlsplit(node.url)
            labels = {
                "node": node.node,
                "role": role.value,
                "__scheme__": parts.scheme,
                "__metrics_path__": METRICS_PATH,
            }
            groups.append(TargetGroup(targets=(parts.netloc,), labels=labels))
    return tuple(groups)
