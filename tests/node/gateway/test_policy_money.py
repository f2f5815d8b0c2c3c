"""What costs money is promised before it goes out, settled by what it cost, and never above a cap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_harness import until
from policy_kit import ANN, ROUTES, TERMS, Policed, a_key, begin

from fleet.node.gateway.policy.treasury import wall_milliseconds
from fleet.traffic.budget.incidents import OPENED
from fleet.traffic.budget.limits import FLEET, Kind, Scope
from fleet.traffic.keyring import KeyLimits
from fleet.traffic.policy import Policy, Team, TrackTerms
from fleet.vocabulary.contracts.ledger import CostSource, Dispatch, Note
from fleet.vocabulary.money import pico
from fleet.vocabulary.names import Track

Front = Callable[..., Awaitable[Policed]]


@pytest.fixture(name="front")
async def _front(tmp_path: Path) -> AsyncIterator[Front]:
    async with AsyncExitStack() as stack:

        async def go(**changes: Any) -> Policed:
            terms = changes.pop("terms", {})
            policy = Policy(**{"ledger_file": str(tmp_path / "ledger"), "dollar": TERMS, **terms})
            return await begin(stack, tmp_path, policy=policy, **changes)

        yield go


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_of_an_api_is_reserved_for_then_settled_by_what_the_provider_said(
    front: Front, *, stream: bool
) -> None:
    """LL#16021, PR#16162: OpenRouter's streamed cost is not thrown away."""
    running = await front()
    answer = await running.ask(stream=stream)
    assert answer.status == 200
    (reserved,), (settled,) = await running.reservations(), await running.settlements()
    assert reserved.id == settled.id == f"{reserved.request}/1"
    assert (settled.source, settled.pico) == (CostSource.PROVIDER, running.openrouter.bill.total_pico)
    assert 0 < settled.pico <= reserved.pico
    (row,) = await running.requests()
    assert (row.pico, row.track, row.upstream, row.outcome) == (settled.pico, Track.TOKEN, "openrouter/flash", "ok")
    assert row.owner.team == "blue"
    (dispatched,) = await running.rows(Dispatch)
    assert dispatched.generation == running.openrouter.bill.generations[0].id


async def test_a_unary_answer_says_what_it_cost(front: Front) -> None:
    running = await front()
    answer = await running.ask()
    assert pico(answer.headers["x-fleet-cost-usd"]) == running.openrouter.bill.total_pico
    assert answer.headers["x-fleet-sensitivity"] == "internal"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("stream", [False, True])
async def test_every_surface_is_booked_with_its_cost_and_its_tokens(front: Front, path: str, *, stream: bool) -> None:
    """LL PR#38538, #38507, otari#256: no surface is logged at 0."""
    running = await front()
    asked: dict[str, Any] = {"model": "cheap", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
    if path == "/v1/responses":
        asked = {"model": "cheap", "max_output_tokens": 50, "input": "hi"}
    headers = {"x-api-key": "sk-ann-0123456789"}
    answer = await running.http.post(running.url + path, json={**asked, "stream": stream}, headers=headers)
    await answer.read()
    assert answer.status == 200
    (row,) = await running.requests()
    assert row.pico == running.openrouter.bill.total_pico > 0
    assert row.prompt_tokens
    assert row.completion_tokens


async def test_openclaw_is_told_its_usage_though_it_does_not_ask(front: Front) -> None:
    """openclaw#49753, #68707: without it its context is exhausted silently."""
    running = await front(keys=(ANN, a_key("claw", app="openclaw")))
    with_usage = await running.ask(key="claw", stream=True)
    without = await running.ask(key="ann", stream=True)
    assert b'"total_tokens"' in await with_usage.read()
    assert b'"total_tokens"' not in await without.read()


async def test_an_own_machine_costs_nothing_and_has_its_row(front: Front) -> None:
    running = await front()
    assert (await running.ask("home")).status == 200
    assert await running.reservations() == []
    (row,) = await running.requests()
    assert (row.pico, row.node, row.track) == (0, "mini-1", Track.PRIVATE)


async def test_an_attempt_that_was_refused_costs_nothing_and_the_next_is_reserved_for_itself(front: Front) -> None:
    routes = (
        *ROUTES,
        ROUTES[0].__class__(name="two", upstreams=("openrouter/owl", "openrouter/flash"), track=Track.TOKEN),
    )
    running = await front(routes=routes)
    running.openrouter.trouble("err=500", times=1)
    assert (await running.ask("two")).status == 200
    reserved, settled = await running.reservations(), await running.settlements()
    assert [one.id.rpartition("/")[2] for one in reserved] == ["1", "2"]
    assert (settled[0].pico, settled[0].source) == (0, CostSource.PROVIDER)


async def test_a_provider_that_is_not_reached_was_sent_nothing(front: Front) -> None:
    running = await front()
    await running.openrouter.stop()
    assert (await running.ask()).status == 503
    (settled,) = await running.settlements()
    assert (settled.pico, settled.source) == (0, CostSource.UNSENT)
    assert running.office.treasury.book.unsettled() == ()


@pytest.mark.parametrize("route", ["cheap", "hard@SEC-1"])
async def test_what_a_client_that_left_did_not_read_is_found_out_and_booked(front: Front, route: str) -> None:
    """LL PR#36008: one provider stops billing when we leave, the other bills the whole answer; the ledger has both."""
    running = await front()
    say = "@@tokens=60,gap=10@@ go on"
    asking = asyncio.ensure_future(running.ask(route, say=say, stream=True, max_tokens=500))
    await until(lambda: any(one.call.chunks for one in running.gateway.calls))
    asking.cancel()
    await until(lambda: running.books.words == ["cancelled"])
    book = running.office.treasury.book
    await until(lambda: running.openrouter.bill.generations and not book.unsettled(), within=30)
    (settled,) = await running.settlements()
    assert settled.source is CostSource.GENERATION
    assert settled.pico == running.openrouter.bill.total_pico > 0
    assert (await running.requests())[0].pico is None


async def test_until_it_is_found_out_what_was_promised_counts_as_spent(front: Front) -> None:
    running = await front()
    running.openrouter.lag_seconds = 3600
    running.openrouter.trouble("cut=300")
    await running.ask(stream=True, say="@@tokens=50@@")
    (held,) = running.office.treasury.book.unsettled()
    assert held.pico > 0
    assert running.books.words == ["truncated"]


async def test_a_hundred_requests_at_once_never_promise_more_than_the_cap(front: Front) -> None:
    """LL#34732, #26672: the check and the promise are one."""
    running = await front(terms={"tracks": {"token": TrackTerms(monthly_usd="0.0005")}})
    codes = await asyncio.gather(*(running.code() for _ in range(100)))
    served = sum(status == 200 for status, _ in codes)
    assert {code for status, code in codes if status != 200} == {"budget_exhausted"}
    assert 0 < served < 100
    token = running.office.treasury.book.sum(
        Scope(Kind.TRACK, "token"), running.office.treasury.book.calendar.month(running.office.treasury.now)
    )
    assert token.committed <= pico("0.0005")
    reserved, settled = await running.reservations(), await running.settlements()
    assert sum(one.pico for one in settled) == running.openrouter.bill.total_pico <= pico("0.0005")
    assert len(reserved) == served


async def test_a_cap_that_is_reached_says_when_it_opens_again(front: Front) -> None:
    running = await front(terms={"fleet": TrackTerms(monthly_usd="0")})
    answer = await running.ask()
    error = (await answer.json())["error"]
    assert (answer.status, error["code"], error["type"]) == (429, "budget_exhausted", "rate_limit_error")
    assert int(answer.headers["Retry-After"]) > 0
    assert "opens again" in error["message"]


async def test_own_machines_go_on_when_the_money_is_spent(front: Front) -> None:
    running = await front(terms={"fleet": TrackTerms(monthly_usd="0")})
    running.gateway.upstreams.live["mini-1.chat"].refuted("away")
    assert (await running.code("mixed"))[0] == 429
    running.gateway.upstreams.live["mini-1.chat"].proved(asyncio.get_running_loop().time())
    answer = await running.ask("mixed")
    assert (answer.status, answer.headers["x-fleet-upstream"]) == (200, "mini-1.chat")


@pytest.mark.parametrize(
    ("limits", "terms"),
    [
        (KeyLimits(monthly_usd="0"), {}),
        (KeyLimits(monthly_tokens=10), {}),
        (KeyLimits(), {"teams": (Team(name="blue", limits=KeyLimits(monthly_usd="0")),)}),
        (KeyLimits(), {"tracks": {"token": TrackTerms(monthly_tokens=10)}}),
        (KeyLimits(), {"fleet": TrackTerms(monthly_tokens=10)}),
    ],
)
async def test_keys_teams_tracks_and_the_fleet_have_caps_of_their_own(
    front: Front, limits: KeyLimits, terms: dict[str, Any]
) -> None:
    running = await front(keys=(msgspec.structs.replace(ANN, limits=limits),), terms=terms)
    assert await running.code() == (429, "budget_exhausted")
    assert running.sent == []
    assert (await running.ask("home")).status == 200


async def test_a_front_admits_its_part_of_a_cap(front: Front) -> None:
    whole = await front(terms={"tracks": {"token": TrackTerms(monthly_usd="0.0001")}})
    assert (await whole.ask()).status == 200
    whole.reload(policy=whole.policy(budget_share="0.01"))
    assert await whole.code() == (429, "budget_exhausted")


async def test_tokens_in_flight_count_against_a_cap_of_tokens(front: Front) -> None:
    running = await front(terms={"tracks": {"token": TrackTerms(monthly_tokens=600)}})
    codes = [status for status, _ in await asyncio.gather(*(running.code() for _ in range(20)))]
    assert set(codes) == {200, 429}
    month = running.office.treasury.book.calendar.month(running.office.treasury.now)
    assert running.office.treasury.book.sum(Scope(Kind.TRACK, "token"), month).held_tokens == 0


async def test_limits_per_minute_and_at_once_are_told_with_a_time(front: Front) -> None:
    keys = (a_key("ann", limits=KeyLimits(requests_per_minute=2)), a_key("bob", limits=KeyLimits(concurrency=1)))
    running = await front(keys=keys)
    answers = [await running.ask("home") for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 61
    both = await asyncio.gather(*(running.ask("home", key="bob", say="@@delay=200@@ x") for _ in range(2)))
    assert sorted(one.status for one in both) == [200, 429]
    assert (await running.ask("home", key="bob")).status == 200


async def test_a_key_is_for_its_tracks_until_it_expires(front: Front) -> None:
    running = await front(keys=(a_key("ann", tracks=("private",)), a_key("old", expires_at_seconds=1)))
    assert await running.code("cheap") == (403, "track_not_allowed")
    assert (await running.ask("home")).status == 200
    assert await running.code("home", key="old") == (401, "invalid_api_key")


# --- the dollar track -------------------------------------------------------------------------------------------------


async def test_the_dollar_track_wants_a_ticket_in_a_header_or_behind_the_model(front: Front) -> None:
    running = await front()
    assert await running.code("hard") == (403, "ticket_required")
    assert await running.code("hard", headers={"x-fleet-ticket": "no ticket"}) == (403, "ticket_required")
    assert (await running.ask("hard", headers={"x-fleet-ticket": "SEC-1"})).status == 200
    assert (await running.ask("hard@SEC-2")).status == 200
    assert (await running.ask("hard", fleet={"ticket": "SEC-3"})).status == 200
    assert [one.ticket for one in await running.reservations()] == ["SEC-1", "SEC-2", "SEC-3"]
    assert all(one.track is Track.DOLLAR for one in await running.reservations())
    assert all("fleet" not in body for body in running.sent)


async def test_what_was_reserved_is_a_bound_that_the_provider_is_held_to(front: Front) -> None:
    running = await front()
    extra: dict[str, Any] = {"models": ["sim/echo-small"], "plugins": [{"id": "web"}], "preset": "x"}
    await running.ask("hard@SEC-1", provider={"max_price": {"prompt": 1000}, "only": ["Bedrock"]}, **extra)
    (body,) = running.sent
    assert body["provider"] == {
        "max_price": {"prompt": 5.0, "completion": 25.0, "request": 0.0, "image": 0.0},
        "only": ["Bedrock"],
    }
    assert not {"models", "plugins", "preset"} & body.keys()
    assert body["max_tokens"] == 50
    await running.ask("hard@SEC-1", max_tokens=None)
    assert running.sent[-1]["max_tokens"] == TERMS.default_max_tokens


async def test_over_the_cap_it_is_refused_with_the_time_or_folds_with_a_word(front: Front) -> None:
    small = msgspec.structs.replace(TERMS, monthly_usd="0.001")
    running = await front(terms={"dollar": small})
    answer = await running.ask("hard@SEC-1", max_tokens=4000)
    assert (answer.status, (await answer.json())["error"]["code"]) == (402, "budget_exhausted")
    assert "Retry-After" in answer.headers
    running.reload(policy=running.policy(dollar=msgspec.structs.replace(small, over_budget="fold")))
    answer = await running.ask("hard@SEC-1", max_tokens=4000)
    assert (answer.status, answer.headers["x-fleet-downgraded"], answer.headers["x-fleet-route"]) == (
        200,
        "budget",
        "cheap",
    )
    row = (await running.requests())[-1]
    assert (row.asked, row.route, row.track, row.folded, row.ticket) == ("hard", "cheap", Track.TOKEN, "budget", "")


async def test_a_hundred_on_the_dollar_track_at_once_stay_below_the_cap_and_the_rest_folds(front: Front) -> None:
    terms = msgspec.structs.replace(TERMS, monthly_usd="0.02", over_budget="fold")
    running = await front(terms={"dollar": terms})
    answers = await asyncio.gather(*(running.ask("hard@SEC-1", max_tokens=20) for _ in range(100)))
    assert {answer.status for answer in answers} == {200}
    folded = [answer for answer in answers if answer.headers.get("x-fleet-downgraded") == "budget"]
    assert 0 < len(folded) < 100
    book = running.office.treasury.book
    dollar = book.sum(Scope(Kind.TRACK, "dollar"), book.calendar.month(running.office.treasury.now))
    assert dollar.committed <= pico("0.02")
    assert book.unsettled() == ()


async def test_an_open_incident_may_spend_up_to_the_ceiling_by_who_has_the_scope(front: Front) -> None:
    terms = msgspec.structs.replace(TERMS, monthly_usd="0", ceiling="1")
    running = await front(terms={"dollar": msgspec.structs.replace(terms, monthly_usd="0.0001", ceiling="100")})
    said = {"x-fleet-incident": "INC-7"}
    assert await running.code("hard@SEC-1", key="oncall", headers=said) == (403, "incident_not_open")
    now = running.office.treasury.now
    running.office.treasury.write(Note(id="i1", kind=OPENED, subject="INC-7", at_milliseconds=now))
    assert await running.code("hard@SEC-1", headers=said) == (403, "incident_not_allowed")
    assert await running.code("hard@SEC-1", key="oncall") == (402, "budget_exhausted")
    assert (await running.ask("hard@SEC-1", key="oncall", headers=said)).status == 200
    assert (await running.reservations())[-1].incident == "INC-7"


async def test_without_a_ticket_it_folds_where_the_operator_says_so(front: Front) -> None:
    running = await front(terms={"dollar": msgspec.structs.replace(TERMS, without_ticket="fold")})
    answer = await running.ask("hard")
    assert (answer.status, answer.headers["x-fleet-downgraded"], answer.headers["x-fleet-track"]) == (
        200,
        "ticket",
        "token",
    )


# --- the ledger -------------------------------------------------------------------------------------------------------


async def test_what_was_spent_is_known_after_a_restart(front: Front, tmp_path: Path) -> None:
    """LL#38157, #34805: nothing is in a queue that a stop throws away."""
    running = await front()
    for _ in range(3):
        await running.ask()
    spent = running.openrouter.bill.total_pico
    await running.office.close()
    async with AsyncExitStack() as stack:
        policy = running.current.loaded.config.policy
        again = await begin(stack, tmp_path, policy=policy, openrouter=running.openrouter, mlx=running.mlx)
        book = again.office.treasury.book
        assert book.sum(FLEET, book.calendar.month(again.office.treasury.now)).spent == spent


async def test_a_closed_ledger_closes_what_costs_money_and_nothing_else(front: Front) -> None:
    """Show 5: a full disk."""
    running = await front()
    running.office.treasury.ledger.hold("the disk is full")
    assert await running.code() == (503, "ledger_unavailable")
    assert await running.code("hard@SEC-1") == (503, "ledger_unavailable")
    assert (await running.ask("home")).status == 200
    answer = await running.ask("mixed")
    assert (answer.status, answer.headers["x-fleet-upstream"]) == (200, "mini-1.chat")
    assert running.sent == []
    assert running.office.treasury.book.unsettled() == ()
    running.office.treasury.ledger.release()
    assert (await running.ask()).status == 200


async def test_a_ticket_has_spent_what_it_spent_in_months_that_are_not_counted_any_more(tmp_path: Path) -> None:
    """Its cap is over its life, and a start reads two months only."""
    month = 31 * 24 * 3600 * 1000
    policy = Policy(ledger_file=str(tmp_path / "ledger"), dollar=msgspec.structs.replace(TERMS, ticket_usd="0.0002"))
    async with AsyncExitStack() as stack:
        before = await begin(stack, tmp_path, policy=policy, wall=lambda: wall_milliseconds() - 4 * month)
        while (await before.code("hard@SEC-1", max_tokens=1))[0] == 200:
            pass
        assert await before.code("hard@SEC-1", max_tokens=1) == (402, "ticket_budget_exhausted")
        await before.office.close()
        now = await begin(stack, tmp_path, policy=policy, openrouter=before.openrouter, mlx=before.mlx)
        assert await now.code("hard@SEC-1", max_tokens=1) == (402, "ticket_budget_exhausted")
        assert spent_of(now, "dollar") == 0


def spent_of(running: Policed, track: str) -> int:
    book = running.office.treasury.book
    return book.sum(Scope(Kind.TRACK, track), book.calendar.month(running.office.treasury.now)).committed
