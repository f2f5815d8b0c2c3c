"""What the agent may do for a sidecar, from the inventory's words. Pure."""

from __future__ import annotations

from fleet.control.inventory.caring import CareSetting
from fleet.vocabulary.contracts.agent import Care, Golden
from fleet.vocabulary.units import parse_bytes, parse_seconds


def care_of(setting: CareSetting) -> Care:
    """The rules. 0 there is "never"."""
    return Care(
        restart_after_seconds=parse_seconds(setting.restart_after) or None,
        drain_seconds=parse_seconds(setting.drain),
        refresh_seconds=parse_seconds(setting.refresh) or None,
        quarantine=setting.quarantine,
        cure_pended=setting.cure_pended,
        most_restarts=setting.most_restarts,
    )


def golden_of(setting: CareSetting, sidecar: str) -> Golden | None:
    """The long prompt of a sidecar, where it has one."""
    found = setting.golden.get(sidecar)
    if found is None:
        return None
    return Golden(
        prompt=found.prompt,
        answer=found.answer,
        max_tokens=found.max_tokens,
        every_seconds=parse_seconds(found.every),
    )


def footprint_limit_of(setting: CareSetting, sidecar: str) -> int | None:
    """The limit of a sidecar's footprint, where it has one."""
    return parse_bytes(setting.footprint_limit.get(sidecar, 0)) or None
