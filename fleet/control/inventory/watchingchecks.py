"""What the variables of health may not say, once they have the right types. Pure."""

from __future__ import annotations

import re

from fleet.control.inventory.node import Node
from fleet.control.inventory.watching import HealthRoutingSetting
from fleet.errors import InventoryError
from fleet.vocabulary.units import parse_bytes, parse_seconds

_REFERENCE = re.compile(r"(env|file|keyring|sops):.+|op://.+")
_MORE_IS_WORSE = ("swapout", "pressure", "thermal")
_LESS_IS_WORSE = ("headroom", "pace")
SHORTEST_AFTER_SECONDS = 60.0
"""A Mac restarts within a minute or two: a hook that is quicker would cut every restart short."""


def check_watching(node: Node) -> None:
    """Check secrets, thresholds and the power hook of a node. Raises InventoryError at the first that cannot be."""
    for name in ("webhook", "ping_url"):
        _check_reference(node, name)
    _check_routing(node, node.settings.health_routing)
    _check_span(node, ("ping_every",), node.settings.ping_every)
    _check_hook(node)


def _check_reference(node: Node, name: str) -> None:
    written = getattr(node.settings, name)
    if written is not None and not _REFERENCE.fullmatch(written):
        raise InventoryError(
            f"{name}: an address that lets anybody write to you is a secret, and is written as a reference",
            place=node.place_of(name),
            detail="what is there is not shown",
            hint=f"put the address into a file that git ignores (chmod 600): {name}: file:secrets/{name}.url",
        )


def _check_routing(node: Node, setting: HealthRoutingSetting) -> None:
    for field in ("every", "stale"):
        _check_span(node, ("health_routing", field), getattr(setting, field))
    for what in (*_MORE_IS_WORSE, *_LESS_IS_WORSE):
        less, none = (_number(getattr(setting, f"{what}_{word}")) for word in ("less", "none"))
        if not less or not none:
            continue
        if less > none if what in _MORE_IS_WORSE else less < none:
            raise InventoryError(
                f"health_routing: {what}_none is reached before {what}_less",
                place=node.place_of("health_routing", f"{what}_none"),
                hint="`less` comes first, `none` is the worse one; 0 = not looked at",
            )


def _check_hook(node: Node) -> None:
    hook = node.settings.power_hook
    if hook is None:
        return
    _check_span(node, ("power_hook", "again"), hook.again)
    if hook.after is not None and parse_seconds(hook.after) < SHORTEST_AFTER_SECONDS:
        raise InventoryError(
            "power_hook.after: a Mac that restarts is away for a minute or two",
            place=node.place_of("power_hook", "after"),
            hint="like 10m; 1m at least",
        )
    if not hook.argv[0].startswith("/"):
        raise InventoryError(
            f"power_hook.argv: {hook.argv[0]!r} is not an absolute path",
            place=node.place_of("power_hook", "argv", 0),
            hint='like ["/opt/fleet/etc/power-cycle", "{node}"]; there is no shell and no PATH',
        )
    if not any("{node}" in word for word in hook.argv[1:]):
        raise InventoryError(
            "power_hook.argv: the command is never told which node it is about",
            place=node.place_of("power_hook", "argv"),
            hint="one word is '{node}', in quotes",
        )


def _check_span(node: Node, path: tuple[str, ...], span: float | str | None) -> None:
    if span is not None and parse_seconds(span) <= 0:
        raise InventoryError(f"{'.'.join(path)}: it must be above 0", place=node.place_of(*path), hint="like 90s or 5m")


def _number(value: float | str | None) -> float | None:
    return float(parse_bytes(value)) if isinstance(value, str) else value
