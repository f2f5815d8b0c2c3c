"""A policy that cannot be used never comes into force: not at the start, and not by a reload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from policy_kit import GRAY_ROUTES, ROUTES, TERMS, write_front

from fleet.errors import ConfigError
from fleet.node.gateway.reload import Current
from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.sim.upstreams.openrouter import SimulatedOpenRouter
from fleet.traffic.config import Route
from fleet.traffic.keyring import KeyLimits
from fleet.traffic.policy import GrayTerms, Policy, Team, TrackTerms
from fleet.vocabulary.names import Track

HOME = ("mini-1.chat",)


@pytest.fixture(name="front")
async def _front(tmp_path: Path) -> Any:
    async with SimulatedOpenRouter() as openrouter, SimulatedMlx() as mlx:

        def go(*, routes: tuple[Route, ...] = ROUTES[:3], **terms: Any) -> Current:
            policy = Policy(**{"ledger_file": str(tmp_path / "ledger"), **terms})
            return Current(write_front(tmp_path, openrouter, mlx, policy=policy, routes=routes))

        yield go


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"budget_share": "2"}, "more than 1"),
        ({"budget_share": "half"}, "not a decimal number"),
        ({"budget_tz": "Berlin"}, "not a time zone"),
        ({"alerts": ("often",)}, "not a decimal number"),
        ({"fleet": TrackTerms(monthly_usd="much")}, "not an amount"),
        ({"tracks": {"token": TrackTerms(monthly_usd="-1")}}, "less than nothing"),
        ({"teams": (Team(name="blue", limits=KeyLimits(monthly_usd="x")),)}, "not an amount"),
        ({"dollar": msgspec.structs.replace(TERMS, ticket_pattern="(?=x)")}, "RE2"),
        ({"dollar": msgspec.structs.replace(TERMS, ceiling="1e3")}, "not a decimal number"),
        ({"routes": ROUTES}, "no terms"),
        ({"routes": (Route(name="a", upstreams=HOME, folds_to="b"),)}, "no route"),
        ({"routes": (Route(name="a", upstreams=HOME, track=Track.GRAY),)}, "folds nowhere"),
        ({"routes": (Route(name="a", upstreams=HOME, gray="b"),)}, "no gray route"),
        (
            {
                "routes": (
                    Route(name="a", upstreams=HOME, folds_to="b"),
                    Route(name="b", upstreams=HOME, folds_to="a"),
                )
            },
            "in a circle",
        ),
        (
            {"routes": (msgspec.structs.replace(GRAY_ROUTES[1], gray_terms=GrayTerms(share="1.5")), GRAY_ROUTES[0])},
            "more than 1",
        ),
    ],
)
async def test_what_cannot_be_is_told_with_its_file(front: Any, terms: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        front(**terms)
    assert said in caught.value.text
    assert "front-1.json" in caught.value.text


async def test_a_reload_keeps_what_was_and_says_what_needs_a_restart(front: Any, tmp_path: Path) -> None:
    current = front()
    config = current.loaded.config
    path = tmp_path / "front-1.json"
    wrong = msgspec.structs.replace(config, policy=msgspec.structs.replace(config.policy, budget_share="2"))
    path.write_bytes(msgspec.json.encode(wrong))
    assert not current.reload()
    assert current.loaded.config.policy.budget_share == "1"
    other = msgspec.structs.replace(config, policy=msgspec.structs.replace(config.policy, budget_tz="Europe/Berlin"))
    path.write_bytes(msgspec.json.encode(other))
    assert current.reload()
    assert "budget_tz changed: that needs a restart" in (current.problem or "")
