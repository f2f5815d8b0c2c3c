"""What fronts say of traffic, added up: who is away is named, what was said stays, what nobody said is unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.gateways import GatewayNode, Gateways, NodeRefusal
from fleet.control.actions.traffic import TrafficLook
from fleet.control.actions.upstreams import STATES, upstreams_of
from fleet.control.actions.uses import uses_of
from fleet.errors import FleetError, Unreachable
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.gateway_admin import (
    LiveRequest,
    LiveRequests,
    RouteReport,
    RouteReports,
    UpstreamReport,
)
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.contracts.policy_admin import BudgetKind, BudgetLine, BudgetReport, GrayReports, Incidents
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageLine, UsageQuery, UsageReport
from fleet.vocabulary.names import Lane, Track
from fleet.vocabulary.quantiles import counted

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Door:
    """The admin door of one front."""

    def __init__(self, node: str, *, policy: bool = True, usage: bool = True, spent_pico: int = 100) -> None:
        self.node = node
        self.policy = policy
        self.tells_usage = usage
        self.spent_pico = spent_pico
        self.calls: list[str] = []
        self.asked: list[UsageQuery] = []

    def requests(self) -> LiveRequests:
        self.calls.append("requests")
        one = LiveRequest(
            id=f"of-{self.node}", key="ci", surface="chat", route="code", model="m", lane=Lane.INTERACTIVE,
            phase="answering", seconds=2.0,
        )  # fmt: skip
        return LiveRequests(node=self.node, requests=(one,))

    def routes(self) -> RouteReports:
        one = UpstreamReport(name="api/m", serves="m", kind="openrouter", state="ready", in_flight=1)
        route = RouteReport(name="code", track=Track.TOKEN, upstreams=(one,))
        return RouteReports(node=self.node, config_sha256="", routes=(route,))

    def budget(self) -> BudgetReport:
        self.calls.append("budget")
        if not self.policy:
            raise NodeRefusal("this gateway has no policy", status=404, node=self.node)
        line = BudgetLine(kind=BudgetKind.FLEET, name="", spent_pico=self.spent_pico)
        return BudgetReport(
            node=self.node, month="2026-11", at_seconds=0.0, month_begins_seconds=0.0, month_ends_seconds=1.0,
            lines=(line,),
        )  # fmt: skip

    def gray(self) -> GrayReports:
        return GrayReports(node=self.node, at_seconds=0.0)

    def incidents(self) -> Incidents:
        return Incidents(node=self.node, at_seconds=0.0)

    def usage(self, asked: UsageQuery) -> UsageReport:
        if not self.tells_usage:
            raise NodeRefusal("no such place", status=404, node=self.node)
        self.asked.append(asked)
        return UsageReport(node=self.node, lines=(UsageLine(names=("api/m",), requests=5),))


class Doors:
    """Doors by node; one that is None does not answer."""

    def __init__(self, doors: Mapping[str, Door | None]) -> None:
        self.doors = dict(doors)

    def each(self, gateways: Sequence[Any], work: Callable[[Any], Any]) -> dict[str, object]:
        found: dict[str, object] = {}
        for gateway in gateways:
            door = self.doors[gateway.name]
            try:
                found[gateway.name] = Unreachable("no answer on port 22") if door is None else work(door)
            except FleetError as error:
                found[gateway.name] = error
        return found


class Front:
    """As much of a gateway as is looked at."""

    def __init__(self, name: str, *, is_front: bool = True) -> None:
        self.name = name
        self.is_front = is_front


def looks(doors: Doors) -> TrafficLook:
    gateways = [*(Front(name) for name in doors.doors), Front("edge-1", is_front=False)]
    return TrafficLook(cast(list[GatewayNode], gateways), cast(Gateways, doors), clock=FakeClock(NOW))


def test_all_fronts_are_added_up_and_an_edge_is_not_asked() -> None:
    found = looks(Doors({"front-1": Door("front-1"), "front-2": Door("front-2", spent_pico=23)})).look()
    assert found.fronts == ("front-1", "front-2")
    assert [one.id for one in found.flow.requests] == ["of-front-1", "of-front-2"]
    assert found.sums.budget is not None
    assert found.sums.budget.lines[0].spent_pico == 123
    assert found.sums.hour is not None
    assert found.sums.hour["api/m"].line.requests == 10
    assert found.flow.at == found.sums.at == NOW


def test_who_is_away_is_named_and_the_others_are_added_up() -> None:
    found = looks(Doors({"front-1": Door("front-1"), "front-2": None})).look()
    assert found.flow.told == found.sums.told == ("front-1",)
    assert found.flow.away == found.sums.away == {"front-2": "no answer on port 22"}
    assert len(found.flow.requests) == 1


def test_where_nobody_answers_what_was_said_stays_with_its_time() -> None:
    doors = Doors({"front-1": Door("front-1")})
    look = looks(doors)
    before = look.look()
    doors.doors["front-1"] = None
    after = look.look(before)
    assert after.flow.requests == before.flow.requests
    assert after.sums.budget == before.sums.budget
    assert (after.flow.at, after.flow.away) == (NOW, {"front-1": "no answer on port 22"})


def test_before_anybody_answered_nothing_is_known_and_nothing_is_0() -> None:
    found = looks(Doors({"front-1": None})).look()
    assert found.sums.budget is None
    assert found.sums.hour is found.sums.day is None
    assert found.flow.told == ()


def test_a_front_without_a_policy_is_asked_for_no_sums_and_misses_none() -> None:
    door = Door("front-1", policy=False)
    found = looks(Doors({"front-1": door})).look()
    assert found.sums.free == found.sums.told == ("front-1",)
    assert found.sums.away == {}
    assert door.asked == []


def test_a_front_of_an_older_release_tells_money_and_no_use() -> None:
    found = looks(Doors({"front-1": Door("front-1", usage=False)})).look()
    assert found.sums.budget is not None
    assert found.sums.hour is found.sums.day is None


def test_sums_are_asked_for_only_when_they_are_wanted() -> None:
    door = Door("front-1")
    look = looks(Doors({"front-1": door}))
    before = look.look()
    after = look.look(before, whole=False)
    assert door.calls == ["requests", "budget", "requests"]
    assert after.sums is before.sums


def test_the_last_hour_is_by_upstream_with_spreads_and_the_last_day_by_model() -> None:
    door = Door("front-1")
    looks(Doors({"front-1": door})).look()
    end = int(NOW.timestamp() * 1000)
    hour, day = door.asked
    assert hour.by == (UsageBy.UPSTREAM,)
    assert hour.since_milliseconds == end - 3_600_000
    assert Measure.SECONDS in hour.measures
    assert (day.by, day.since_milliseconds, day.measures) == ((UsageBy.MODEL,), end - 86_400_000, ())


@pytest.mark.parametrize("worse", STATES[1:])
def test_an_upstream_that_fronts_see_differently_stands_as_the_worst_of_them(worse: str) -> None:
    def report(node: str, state: str) -> RouteReports:
        one = UpstreamReport(
            name="mini/m", serves="m", kind="edge", state=state, reason=f"{node} says", in_flight=2, max_in_flight=8
        )
        routes = tuple(RouteReport(name=name, track=Track.TOKEN, upstreams=(one,)) for name in ("code", "docs"))
        return RouteReports(node=node, config_sha256="", routes=routes)

    (found,) = upstreams_of([report("front-1", worse), report("front-2", "ready")])
    assert (found.state, found.reason) == (worse, "front-1 says")
    assert (found.in_flight, found.max_in_flight, found.routes) == (4, 8, ("code", "docs"))
    assert found.fronts == ("front-1", "front-2")


_LINE = st.builds(
    UsageLine,
    names=st.tuples(st.sampled_from(["a", "b", ""])),
    requests=st.integers(0, 50),
    failed=st.integers(0, 5),
    verdicts=st.dictionaries(st.sampled_from(ToolVerdict), st.integers(0, 9)),
    spreads=st.fixed_dictionaries({Measure.SECONDS: st.lists(st.floats(0.01, 60), max_size=9).map(counted)}),
)


@given(st.lists(st.lists(_LINE, max_size=6), max_size=4))
def test_uses_of_many_fronts_are_the_uses_of_one_with_all_their_lines(fronts: list[list[UsageLine]]) -> None:
    many = [UsageReport(node=str(number), lines=tuple(lines)) for number, lines in enumerate(fronts)]
    every = tuple(line for lines in fronts for line in lines)
    assert uses_of(many) == uses_of([UsageReport(node="one", lines=every)])
    named = [line for line in every if line.names[0]]
    assert sum(one.line.requests for one in uses_of(many).values()) == sum(line.requests for line in named)
    for one in uses_of(many).values():
        assert sum(one.failures.values()) <= one.scored
        assert (one.tool_errors is None) == (one.scored == 0)
