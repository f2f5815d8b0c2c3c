"""Whom a request was kept from by its node's health, and how its answer says so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile

import msgspec

from fleet.traffic.choice import UpstreamState, choose
from fleet.traffic.config import Route
from fleet.traffic.wellness import Standing
from fleet.traffic.work import Shape

_MOST = 8
_LONGEST = 120


class Avoided(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream that would have come first, were its node well. `reason` is the word of the sign that weighs most."""

    node: str
    upstream: str
    reason: str

    @property
    def text(self) -> str:
        """`NODE/UPSTREAM=reason`. An edge's upstream is called NODE/MODEL already."""
        named = not self.node or self.upstream.startswith(f"{self.node}/")
        return f"{self.upstream if named else f'{self.node}/{self.upstream}'}={self.reason}"


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


def avoided_header(those: Iterable[Avoided]) -> str:
    """The value of `x-fleet-avoided`: the first eight, none of them long, and nothing that a header cannot carry."""
    texts = [one.text for one in those]
    fit = [text for text in texts if len(text) <= _LONGEST and text.isascii() and text.isprintable()]
    return ",".join(fit[:_MOST])
