"""How much of the past a node keeps, as the inventory says. Pure."""

from __future__ import annotations

from fleet.control.inventory.settings import NodeSettings
from fleet.vocabulary.contracts.desired import Keep

_GB = 10**9


def keep_of(settings: NodeSettings) -> Keep | None:
    """The limits of a node; None for the defaults, which are no part of a state."""
    keep = Keep(
        releases=settings.keep_releases,
        days=settings.keep_days,
        bytes_limit=round(settings.keep_gb * _GB),
    )
    return None if keep == Keep() else keep
