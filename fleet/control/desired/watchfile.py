"""What a gateway does about health: thresholds of routing, and what a front watches and whom it tells. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from fleet.control.desired.keys import reference_of, upstream_key_files
from fleet.control.desired.roster import Roster
from fleet.control.desired.watchsecrets import watch_secret_files
from fleet.control.inventory.watching import HealthRoutingSetting
from fleet.traffic.config import FleetWatch, Peer, Power, WatchedNode, Wellness
from fleet.vocabulary.names import GatewayRole, NodeName
from fleet.vocabulary.units import parse_bytes, parse_seconds

SSH_PORT = 22


def wellness_of(setting: HealthRoutingSetting) -> Wellness:
    """The thresholds of routing, with what the inventory says instead. 0 there is "not looked at"."""
    changed: dict[str, object] = {}
    if setting.every is not None:
        changed["every_seconds"] = parse_seconds(setting.every)
    if setting.stale is not None:
        changed["stale_seconds"] = parse_seconds(setting.stale)
    if setting.clean_samples is not None:
        changed["clean_samples"] = setting.clean_samples
    for word in ("less", "none"):
        bytes_left, swapped = getattr(setting, f"headroom_{word}"), getattr(setting, f"swapout_{word}")
        if bytes_left is not None:
            changed[f"headroom_{word}_bytes"] = parse_bytes(bytes_left) or None
        if swapped is not None:
            changed[f"swapout_{word}_bytes_per_second"] = float(parse_bytes(swapped)) or None
        for what, unit in (("pace", "ratio"), ("pressure", "level"), ("thermal", "level")):
            value = getattr(setting, f"{what}_{word}")
            if value is not None:
                changed[f"{what}_{word}_{unit}"] = value or None
    return msgspec.structs.replace(Wellness(), **changed)


def watch_of(front: Roster, rosters: Mapping[NodeName, Roster]) -> FleetWatch | None:
    """What a front watches: every node of the fleet, and the other fronts. None where that is switched off.

    The gateway of a node that was not adopted yet is left out: nothing could prove who answers.
    """
    settings = front.node.settings
    if not settings.front_watch:
        return None
    files = watch_secret_files(front)
    return FleetWatch(
        nodes=tuple(_watched(front, rosters)),
        peers=tuple(_peers(front, rosters)),
        webhook_file=files["webhook"][1] if "webhook" in files else None,
        ping_file=files["ping_url"][1] if "ping_url" in files else None,
        ping_seconds=parse_seconds(settings.ping_every),
        power=_power(front),
    )


def _watched(front: Roster, rosters: Mapping[NodeName, Roster]) -> Iterator[WatchedNode]:
    files = upstream_key_files(front, rosters)
    for other in rosters.values():
        node, settings = other.node, other.node.settings
        reached = other.role is not None and _can_be_proved(other)
        yield WatchedNode(
            node=node.name,
            url=other.gateway_url if reached else None,
            pin=settings.edge_key if reached and settings.gateway_tls else None,
            key_file=files[reference_of(node, "fleet_key")] if reached else None,
            ssh_host=node.address,
            ssh_port=settings.ssh_port or SSH_PORT,
        )


def _peers(front: Roster, rosters: Mapping[NodeName, Roster]) -> Iterator[Peer]:
    for other in rosters.values():
        if other.node.name != front.node.name and other.role is GatewayRole.FRONT and _can_be_proved(other):
            pin = other.node.settings.edge_key if other.node.settings.gateway_tls else None
            yield Peer(node=other.node.name, url=other.gateway_url, pin=pin)


def _can_be_proved(other: Roster) -> bool:
    """Whether its key is pinned; without TLS it is on loopback, where nobody else is."""
    return other.node.settings.edge_key is not None or not other.node.settings.gateway_tls


def _power(front: Roster) -> Power | None:
    hook = front.node.settings.power_hook
    if hook is None:
        return None
    spans = {"after_seconds": hook.after, "again_seconds": hook.again}
    given = {name: parse_seconds(span) for name, span in spans.items() if span is not None}
    return msgspec.structs.replace(Power(argv=tuple(hook.argv)), **given)
