"""Whom a request was kept from by its node's health. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

import msgspec

from fleet.traffic.choice import UpstreamState, choose
from fleet.traffic.config import Route
from fleet.traffic.wellness import Standing
from fleet.traffic.work import Shape


def avoided(
    route: Route, states: Mapping[str, UpstreamState], shape: Shape, *, taken: str, now: float
) -> tuple[str, ...]:
    """Those that would have come before `taken`, the best first, were every node well. Mostly none."""
    well = {
        name: state if state.standing is Standing.FULL else msgspec.structs.replace(state, standing=Standing.FULL)
        for name, state in states.items()
    }
    before = takewhile(lambda name: name != taken, choose(route, well, shape, now=now).attempts)
    return tuple([name for name in before if states[name].standing is not Standing.FULL])
