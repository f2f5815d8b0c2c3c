"""What a front says of money, gray pools and incidents: at its admin door, in its metrics, to people."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from policy_kit import GRAY_ROUTES, TERMS, Policed, begin

from fleet.node.gateway.admin_policy import PolicyDoors
from fleet.node.gateway.policy.families import PolicyCounts, policy_families
from fleet.traffic.gray.reasons import NotGray
from fleet.traffic.openai_error import Refused
from fleet.traffic.policy import Policy, TrackTerms
from fleet.vocabulary.contracts.ledger import Note, Owner, Request, ToolVerdict
from fleet.vocabulary.contracts.notice import Notice
from fleet.vocabulary.contracts.policy_admin import (
    BudgetKind,
    BudgetReport,
    DollarState,
    GrayReports,
    GrayRequest,
    GrayState,
    HarnessFound,
    IncidentRequest,
    Incidents,
)
from fleet.vocabulary.names import Track

Front = Callable[..., Awaitable[Policed]]
T = TypeVar("T")
DAY = 24 * 3600 * 1000


@pytest.fixture(name="front")
async def _front(tmp_path: Path) -> AsyncIterator[Front]:
    async with AsyncExitStack() as stack:

        async def go(**changes: Any) -> Policed:
            terms = changes.pop("terms", {})
            policy = Policy(**{"ledger_file": str(tmp_path / "ledger"), "dollar": TERMS, **terms})
            return await begin(stack, tmp_path, **{"routes": GRAY_ROUTES, "policy": policy, **changes})

        yield go


async def door(running: Policed | None, path: str, kind: type[T], asked: object = None) -> T:
    """What the door says. Raises Refused."""
    refused: list[Refused] = []

    @web.middleware
    async def plainly(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            answered: web.StreamResponse = await handler(request)
            return answered
        except Refused as error:
            refused.append(error)
            return web.Response(status=error.error.status)

    app = web.Application(middlewares=[plainly])
    PolicyDoors(running.office if running is not None else None).open(app)
    async with TestClient(TestServer(app)) as client:
        body = None if asked is None else msgspec.json.encode(asked)
        answer = await client.request("GET" if body is None else "POST", f"/admin/{path}", data=body)
        content = await answer.read()
    if refused:
        raise refused[0]
    return msgspec.json.decode(content, type=kind)


async def test_the_budget_says_what_was_spent_by_track_team_key_and_ticket(front: Front) -> None:
    running = await front(terms={"tracks": {"token": TrackTerms(monthly_usd="10", monthly_tokens=5000)}})
    await running.ask()
    await running.ask("hard@SEC-1")
    said = await door(running, "budget", BudgetReport)
    lines = {(line.kind, line.name): line for line in said.lines}
    assert lines[BudgetKind.FLEET, "fleet"].spent_pico == running.openrouter.bill.total_pico == sum(said.days_pico)
    assert lines[BudgetKind.TEAM, "blue"].spent_pico == running.openrouter.bill.total_pico
    assert lines[BudgetKind.TICKET, "SEC-1"].spent_pico > 0
    token = lines[BudgetKind.TRACK, "token"]
    assert (token.cap_pico, token.cap_tokens) == (10 * 10**12, 5000)
    assert token.tokens > 0
    assert lines[BudgetKind.TRACK, "dollar"].cap_pico == 800 * 10**12
    assert (said.dollar, said.unsettled, said.ledger_problem) == (DollarState.NORMAL, 0, "")
    assert said.month_begins_seconds < said.at_seconds < said.month_ends_seconds


async def test_a_closed_ledger_is_told(front: Front) -> None:
    running = await front()
    running.office.treasury.ledger.hold("the disk is full")
    assert (await door(running, "budget", BudgetReport)).ledger_problem == "the disk is full"


async def test_a_gateway_without_a_policy_says_so() -> None:
    with pytest.raises(Refused) as caught:
        await door(None, "budget", BudgetReport)
    assert caught.value.error.status == 404


async def test_a_pool_is_told_with_how_many_could_have_gone_there(front: Front) -> None:
    running = await front()
    for number in range(12):
        await running.ask(key="gray" if number else "ann")
    (pool,) = (await door(running, "gray", GrayReports)).routes
    assert (pool.route, pool.feeds, pool.models, pool.share) == ("owl", ("cheap",), ("owl",), "0.10")
    assert (pool.requests, pool.gray, pool.eligible) == (12, 1, 11)
    assert (pool.state, pool.verdict) == (GrayState.ON, "insufficient")


async def test_a_pool_is_turned_off_and_on_and_that_outlives_a_restart(front: Front, tmp_path: Path) -> None:
    running = await front()
    off = GrayRequest(route="owl", on=False, by="ann@laptop", reason="too odd")
    (pool,) = (await door(running, "gray", GrayReports, off)).routes
    assert (pool.state, pool.by) == (GrayState.DISABLED, "ann@laptop")
    await running.office.close()
    async with AsyncExitStack() as stack:
        again = await begin(
            stack, tmp_path, routes=GRAY_ROUTES, policy=running.policy(), openrouter=running.openrouter, mlx=running.mlx
        )
        (pool,) = (await door(again, "gray", GrayReports)).routes
        assert pool.state is GrayState.DISABLED
        (pool,) = (await door(again, "gray", GrayReports, GrayRequest(route="owl", on=True))).routes
        assert pool.state is GrayState.ON
    with pytest.raises(Refused) as caught:
        await door(running, "gray", GrayReports, GrayRequest(route="cheap", on=False))
    assert caught.value.error.status == 404


def a_call(at: int, number: int, *, failed: bool, gray: bool = True) -> Request:
    return Request(
        id=f"r{at}-{number}",
        at_milliseconds=at + number,
        owner=Owner(key="gray"),
        asked="cheap",
        route="owl" if gray else "cheap",
        track=Track.GRAY if gray else Track.TOKEN,
        model="owl" if gray else "flash",
        eligible=True,
        gray=gray,
        attempts=1,
        tool_verdict=ToolVerdict.BAD_JSON if failed else ToolVerdict.OK,
    )


async def test_a_pool_whose_tool_calls_get_worse_is_taken_back_and_stays_so(front: Front) -> None:
    """SPEC section 5.4: two points more in a week, with enough calls in both."""
    running = await front()
    told: list[Notice] = []
    running.office.alerter.tell = told.append
    treasury, now = running.office.treasury, running.office.treasury.now
    for number in range(220):
        treasury.count(a_call(now - 9 * DAY, number, failed=number % 50 == 0))
    for number in range(220):
        treasury.count(a_call(now - 2 * DAY, number, failed=number % 12 == 0))
    assert treasury.standing("owl").reason is NotGray.ROLLED_BACK
    (pool,) = (await door(running, "gray", GrayReports)).routes
    assert (pool.state, pool.verdict) == (GrayState.ROLLED_BACK, "worse")
    assert "taken back" in told[0].text
    answers = [await running.ask(key="gray") for _ in range(12)]
    assert not [one for one in answers if "x-fleet-gray" in one.headers]
    with pytest.raises(Refused) as caught:
        await door(running, "gray", GrayReports, GrayRequest(route="owl", on=True))
    assert (caught.value.error.status, "ticket" in caught.value.error.message) == (409, True)
    found = HarnessFound(run="r", model="owl", prompts=50, successes=25, scored=25, begun_milliseconds=now - DAY)
    for short, why in (
        (found, "began before"),
        (msgspec.structs.replace(found, begun_milliseconds=now + DAY, prompts=49), "49 prompts; 50 are needed"),
        (msgspec.structs.replace(found, begun_milliseconds=now + DAY, model="other"), "needs a harness run"),
        (msgspec.structs.replace(found, begun_milliseconds=now + DAY, successes=20), "did 20 of 25"),
    ):
        asked = GrayRequest(route="owl", on=True, ticket="OPS-9", harness=short)
        with pytest.raises(Refused) as caught:
            await door(running, "gray", GrayReports, asked)
        assert why in caught.value.error.message
    passed = msgspec.structs.replace(found, begun_milliseconds=now + DAY)
    armed = GrayRequest(route="owl", on=True, ticket="OPS-9", harness=passed)
    (pool,) = (await door(running, "gray", GrayReports, armed)).routes
    assert pool.state is GrayState.ON


async def test_what_was_scored_and_committed_is_known_after_a_restart(front: Front, tmp_path: Path) -> None:
    running = await front()
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    for _ in range(20):
        await running.ask(key="gray", say="@@tool=look {}@@", tools=tools)
    (before,) = (await door(running, "gray", GrayReports)).routes
    await running.rows()
    await running.office.close()
    async with AsyncExitStack() as stack:
        again = await begin(
            stack, tmp_path, routes=GRAY_ROUTES, policy=running.policy(), openrouter=running.openrouter, mlx=running.mlx
        )
        (after,) = (await door(again, "gray", GrayReports)).routes
    assert (after.requests, after.gray, after.eligible, after.calls, after.tokens) == (
        before.requests,
        before.gray,
        before.eligible,
        before.calls,
        before.tokens,
    )
    assert (after.requests, after.gray, after.calls) == (20, 2, 2)


async def test_a_model_in_the_place_of_one_that_was_taken_back_begins_with_a_tenth_of_the_share(front: Front) -> None:
    running = await front()
    treasury, now = running.office.treasury, running.office.treasury.now
    taken = msgspec.json.encode(
        {
            "model": "another",
            "rule": "enough",
            "baseline": "own",
            "failures": 9,
            "scored": 200,
            "failures_before": 0,
            "scored_before": 200,
            "start_milliseconds": 0,
            "end_milliseconds": 0,
        }
    ).decode()
    treasury.write(Note(id="back", kind="gray_rolled_back", subject="owl", at_milliseconds=now, data=taken))
    assert treasury.standing("owl").reason is NotGray.ROLLED_BACK
    running.office.follow()
    assert treasury.standing("owl").reason is None
    running.office.desk.new_day()
    assert running.office.desk.pools.terms("owl").share == "0.01000000000"
    went = [(await running.ask(key="gray")).headers.get("x-fleet-gray") for _ in range(30)]
    assert not any(went)


async def test_five_failures_of_a_kind_in_a_row_suspend_for_a_while(front: Front) -> None:
    running = await front()
    treasury, now = running.office.treasury, running.office.treasury.now
    for number in range(5):
        treasury.count(a_call(now - 100, number, failed=True))
    (pool,) = (await door(running, "gray", GrayReports)).routes
    assert pool.state is GrayState.SUSPENDED
    assert pool.until_seconds is not None
    assert 3500 < pool.until_seconds - now / 1000 <= 3600


async def test_a_model_that_the_provider_has_no_more_folds_without_an_error_and_turns_its_pool_off(
    front: Front,
) -> None:
    """OmniRoute#5184, hermes-agent#95590: unproven models live for days."""
    running = await front()
    running.openrouter.retire("sim/owl-alpha")
    answers = [await running.ask(key="gray") for _ in range(15)]
    assert {one.status for one in answers} == {200}
    (pool,) = (await door(running, "gray", GrayReports)).routes
    assert pool.state is GrayState.NO_MODEL
    assert sum(body["model"] == "sim/owl-alpha" for body in running.sent) == 1


async def test_an_incident_is_opened_until_a_moment_and_closed(front: Front) -> None:
    running = await front()
    now = running.office.treasury.now / 1000
    with pytest.raises(Refused):
        await door(running, "incidents", Incidents, IncidentRequest(name="INC-7", open=True))
    with pytest.raises(Refused):
        await door(running, "incidents", Incidents, IncidentRequest(name="INC-7", open=True, until_seconds=now - 1))
    opened = IncidentRequest(name="INC-7", open=True, until_seconds=now + 3600, by="ann")
    (one,) = (await door(running, "incidents", Incidents, opened)).incidents
    assert (one.name, one.by, one.closed_seconds) == ("INC-7", "ann", None)
    assert list(running.office.treasury.incidents()) == ["INC-7"]
    (one,) = (await door(running, "incidents", Incidents, IncidentRequest(name="INC-7", open=False))).incidents
    assert one.closed_seconds is not None
    assert not running.office.treasury.incidents()


async def test_every_part_of_a_cap_is_told_once_a_month_also_over_a_restart(front: Front, tmp_path: Path) -> None:
    terms = {"tracks": {"token": TrackTerms(monthly_usd="0.00005")}, "dollar": None}
    routes = GRAY_ROUTES[:3]
    running = await front(terms=terms, routes=routes)
    told: list[Notice] = []
    running.office.alerter.tell = told.append
    while (await running.ask(max_tokens=5)).status == 200:
        pass
    running.office.alerter.look()
    running.office.alerter.look()
    assert {notice.check for notice in told} == {"budget"}
    assert 1 <= len(told) <= 3
    assert "track token has used or promised" in told[0].text
    await running.office.close()
    async with AsyncExitStack() as stack:
        again = await begin(
            stack, tmp_path, routes=routes, policy=running.policy(), openrouter=running.openrouter, mlx=running.mlx
        )
        count = len(told)
        again.office.alerter.tell = told.append
        again.office.alerter.look()
        assert len(told) == count


async def test_the_metrics_say_it_all_without_a_name_of_a_client(front: Front) -> None:
    running = await front()
    counts = PolicyCounts(running.office.desk)
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    for _ in range(11):
        await running.ask(key="gray", say="@@tool=look {}@@", tools=tools)
    await running.ask("hard@SEC-1")
    await running.ask("owl")
    page = policy_families(running.office, counts).decode()
    assert 'fleet_budget_usd{scope="dollar",kind="cap"} 800' in page
    assert 'fleet_gray_share{route="owl",unit="requests"}' in page
    assert "fleet_ledger_open 1" in page
    assert 'fleet_folded_requests_total{route="owl",reason="gray-key"} 1' in page
    assert 'fleet_dollar_state{state="normal"} 1' in page
    assert 'fleet_tool_calls_total{upstream="openrouter/flash",model="flash",class="ok"} 10' in page
    assert 'fleet_labelled_requests_total{track="gray",sensitivity="public"} 1' in page
    for name in ("SEC-1", "sk-", "ann"):
        assert f'"{name}' not in page
    guide = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    section = re.search(r"^## Money and policy$(.*?)(?=^## )", guide, flags=re.MULTILINE | re.DOTALL)
    assert section is not None
    told = re.findall(r"^\| `(fleet_[a-z_]+)`", section[1], flags=re.MULTILINE)
    assert sorted(re.findall(r"^# TYPE (\S+)", page, flags=re.MULTILINE)) == sorted(told)


async def test_tools_that_were_offered_are_scored_whether_it_streamed_or_not(front: Front) -> None:
    running = await front()
    tools = [
        {
            "type": "function",
            "function": {"name": "look", "parameters": {"type": "object", "required": ["at"]}},
        }
    ]
    for stream in (True, False):
        await running.ask(say='@@tool=look {"at": 1}@@', tools=tools, stream=stream)
        await running.ask(say="@@tool=look {}@@", tools=tools, stream=stream)
        await running.ask(say="nothing", tools=tools, stream=stream)
    verdicts = [row.tool_verdict for row in await running.requests()]
    assert verdicts == [ToolVerdict.OK, ToolVerdict.SCHEMA, ToolVerdict.NO_CALL] * 2
    assert [row.tools_at_seconds is not None for row in await running.requests()] == [True, True, False] * 2


def test_a_note_that_means_nothing_to_people_is_not_told() -> None:
    from fleet.node.gateway.policy.alerting import sentence

    assert sentence(Note(id="x", kind="alert", subject="s", at_milliseconds=0, data="odd")) == ""
    assert sentence(Note(id="x", kind="taint", subject="s", at_milliseconds=0)) == ""
