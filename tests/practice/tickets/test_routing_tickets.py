"""A finding that persists keeps its ticket, and a ticket proposes what a person could do."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import FleetError, UsageError
from fleet.practice.rankings.diff import diff
from fleet.practice.rankings.finding import Finding, Kind, PricePair, Subject
from fleet.practice.rankings.ours import OurModel, OurRoute, Ours, ours_of_config
from fleet.practice.tickets.change import Do, RouteChange
from fleet.practice.tickets.store import Filed, Outcome, file_tickets, read_ticket, read_tickets, write_ticket
from fleet.practice.tickets.text import markdown
from fleet.practice.tickets.ticket import Proposal, State, Ticket, decided, merged, tickets_for, tickets_of
from fleet.practice.tickets.vanishedgray import vanished_gray
from fleet.traffic.config import GatewayConfig, Listen, Price, Route, Upstream
from fleet.vocabulary.contracts.policy_admin import GrayReport, GrayReports, GrayState
from fleet.vocabulary.names import GatewayRole, Track
from tests.practice.maytable import W20, W21, ranking_of

OURS = Ours(
    models=(
        OurModel(served="hy3", upstream="openrouter", asked="tencent/hy3-preview"),
        OurModel(served="flash", upstream="openrouter", asked="deepseek/deepseek-v4-flash",
                 prompt="0.00000014", completion="0.00000028"),
        OurModel(served="kimi", upstream="openrouter", asked="moonshotai/kimi-k2.6"),
        OurModel(served="owl", upstream="openrouter", asked="openrouter/owl-alpha"),
    ),
    routes=(
        OurRoute(name="token-track", track=Track.TOKEN, models=("qwen", "kimi", "flash"), gray="unproven"),
        OurRoute(name="docs", track=Track.TOKEN, models=("kimi",)),
        OurRoute(name="unproven", track=Track.GRAY, models=("owl",)),
    ),
)  # fmt: skip


def may() -> dict[str, Ticket]:
    found = diff(ranking_of(W20), ranking_of(W21), ours=OURS, today=date(2026, 5, 25))
    return {one.id: one for one in tickets_of(found, ours=OURS)}


def finding(kind: Kind, key: str = "kimi-k2.6", week: str = "2026-W21", **more: object) -> Finding:
    served = {"kimi-k2.6": ("kimi",), "owl-alpha": ("owl",), "deepseek-v4-flash": ("flash",)}.get(key, ())
    return Finding(kind=kind, week=week, subject=Subject(key=key, title=key, id=f"v/{key}", served=served), **more)  # type: ignore[arg-type]


def changes(one: Finding, ours: Ours = OURS) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (change.do.value, change.route or change.served, change.models)
        for change in tickets_for([one], ours=ours)[0].changes
    ]


class Says:
    """A proposer that knows one answer."""

    def __init__(self, answer: Proposal | FleetError) -> None:
        self._answer = answer

    def propose(self, changes: tuple[RouteChange, ...]) -> Proposal:
        if isinstance(self._answer, FleetError):
            raise self._answer
        return self._answer


PROPOSAL = Proposal(file="inventory/fleet.yml", before="a", after="b", diff="-old\n+new\n")


def test_may_makes_three_tickets_with_ids_of_their_own() -> None:
    assert sorted(may()) == ["deepseek-v4-flash-rise", "kimi-k2.6-dropout", "step-3.5-flash-entrant"]


def test_a_rise_goes_before_other_models_of_apis_but_not_before_own_machines() -> None:
    assert may()["deepseek-v4-flash-rise"].changes == (
        RouteChange(do=Do.FIRST, route="token-track", served="flash", models=("qwen", "flash", "kimi")),
    )


def test_a_dropout_goes_last_and_a_route_is_never_left_without_a_model() -> None:
    ticket = may()["kimi-k2.6-dropout"]
    assert [(one.do, one.route, one.models) for one in ticket.changes] == [
        (Do.LAST, "token-track", ("qwen", "flash", "kimi"))
    ]
    assert ticket.advice[0] == "Route docs has no other model: name one before this one is demoted."


def test_an_entrant_without_an_id_proposes_nothing_and_says_why() -> None:
    ticket = may()["step-3.5-flash-entrant"]
    assert ticket.changes == ()
    assert "Its id is not known" in ticket.advice[1]


def test_an_entrant_gets_a_name_of_its_own() -> None:
    price = PricePair(prompt="0.0000001", completion="0.0000003")
    found = finding(Kind.ENTRANT, "step-3.5-flash", price=price)
    assert changes(found) == [("add_model", "step-3.5-flash", ())]
    assert "It costs 0.1 USD in and 0.3 out, per million tokens." in tickets_for([found], ours=OURS)[0].advice[0]


def test_a_free_model_is_not_proposed_outside_a_gray_pool() -> None:
    free = PricePair(prompt="0", completion="0")
    assert changes(finding(Kind.ENTRANT, "ox-alpha", price=free)) == []
    assert changes(finding(Kind.RISE, "ox-alpha", price=free)) == []


def test_a_vanished_model_leaves_its_routes_and_its_api() -> None:
    assert changes(finding(Kind.VANISHED)) == [("remove", "token-track", ("qwen", "flash"))]
    ours = msgspec_like(OURS, routes=OURS.routes[:1])
    assert changes(finding(Kind.VANISHED), ours)[-1] == ("drop_model", "kimi", ())


def msgspec_like(ours: Ours, routes: tuple[OurRoute, ...]) -> Ours:
    return Ours(models=ours.models, routes=routes)


def test_a_gray_pool_without_its_model_is_taken_away_with_those_who_feed_it() -> None:
    assert changes(finding(Kind.VANISHED, "owl-alpha")) == [
        ("ungray", "token-track", ()),
        ("drop_route", "unproven", ()),
        ("drop_model", "owl", ()),
    ]


def test_a_price_that_we_wrote_is_written_anew_and_another_is_read_by_the_front() -> None:
    pair = PricePair(prompt="0.0000002", completion="0.00000028")
    found = tickets_for([finding(Kind.PRICE, "deepseek-v4-flash", price=pair)], ours=OURS)[0].changes[0]
    assert (found.do, found.prompt_per_million, found.completion_per_million) == (Do.PRICE, "0.2", "0.28")
    assert changes(finding(Kind.PRICE, price=pair)) == []


def test_two_vendors_models_of_one_name_have_two_tickets() -> None:
    one = finding(Kind.RISE, "auto")
    other = msgspec.structs.replace(one, subject=Subject(key="auto", title="auto", id="w/auto"))
    assert [ticket.id for ticket in tickets_for([one, other], ours=OURS)] == ["v-auto-rise", "w-auto-rise"]


def test_what_persists_keeps_its_ticket(tmp_path: Path) -> None:
    weeks = ["2026-W21", "2026-W22", "2026-W22", "2026-W20"]
    filed = [file_tickets(tmp_path, tickets_for([finding(Kind.RISE, week=week)], ours=OURS))[0].filed for week in weeks]
    assert filed == [Filed.NEW, Filed.UPDATED, Filed.SAME, Filed.UPDATED]
    (ticket,) = read_tickets(tmp_path)
    assert (ticket.opened, [one.week for one in ticket.seen]) == ("2026-W20", ["2026-W20", "2026-W21", "2026-W22"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kimi-k2.6-rise.json", "kimi-k2.6-rise.md"]


def test_filing_again_touches_no_file(tmp_path: Path) -> None:
    tickets = tickets_for([finding(Kind.RISE)], ours=OURS)
    file_tickets(tmp_path, tickets, proposer=Says(PROPOSAL))
    before = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    assert file_tickets(tmp_path, tickets, proposer=Says(PROPOSAL))[0].filed is Filed.SAME
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == before


def test_a_decided_ticket_stays_decided_until_a_later_week_finds_it_again(tmp_path: Path) -> None:
    def file(week: str) -> Outcome:
        return file_tickets(tmp_path, tickets_for([finding(Kind.RISE, week=week)], ours=OURS), proposer=Says(PROPOSAL))[
            0
        ]

    write_ticket(tmp_path, decided(file("2026-W21").ticket, State.CLOSED, by="ann", at="2026-05-25T09:00:00Z"))
    assert file("2026-W21").filed is Filed.SAME
    again = file("2026-W22")
    assert (again.filed, again.ticket.state, again.ticket.decided_by) == (Filed.REOPENED, State.OPEN, "")


@given(st.lists(st.sampled_from(["2026-W19", "2026-W20", "2026-W21", "2026-W22"]), min_size=1, max_size=8))
def test_weeks_in_any_order_make_the_same_ticket(weeks: list[str]) -> None:
    def all_of(names: list[str]) -> Ticket:
        ticket: Ticket | None = None
        for week in names:
            ticket = merged(ticket, tickets_for([finding(Kind.RISE, week=week)], ours=OURS)[0])
        assert ticket is not None
        return ticket

    assert all_of(weeks) == all_of(sorted(set(weeks)))


def test_a_ticket_reads_well() -> None:
    ticket = msgspec.structs.replace(may()["deepseek-v4-flash-rise"], proposal=PROPOSAL)
    assert markdown(ticket) == (
        """\
# DeepSeek-V4-Flash: +65.7 % in 2026-W21

Routing ticket `deepseek-v4-flash-rise` · open since 2026-W21

| week | rank | rank before | tokens | tokens before | change | known by |
|---|---|---|---|---|---|---|
| 2026-W21 | 1 | 2 | 3.43T | 2.07T | +65.7 % | both weeks' tokens |

- Computed from both weeks' tokens; the source prints +66 %, which agrees.
- We offer it as `flash`, in route `token-track`.
- One large account can move a model's week: look at who moves it before you act.
- Tokens are counted by each model's own tokenizer: a model compares with itself only, not with others.

## What to do

- In route token-track, ask flash before other models of APIs.
- Apply it when the harness agrees: `fleet harness run`, then `fleet harness compare`.

## Proposed change of `inventory/fleet.yml`

```diff
-old
+new
```

Nothing is changed before somebody says `fleet route apply deepseek-v4-flash-rise`.

_Source: OpenRouter (openrouter.ai/rankings), as of 2026-05-24_
"""
    )


def test_a_change_that_cannot_be_proposed_says_why(tmp_path: Path) -> None:
    ticket = file_tickets(tmp_path, [may()["deepseek-v4-flash-rise"]], proposer=Says(UsageError("an alias")))[0].ticket
    assert "No diff can be proposed: an alias" in markdown(ticket)


@pytest.mark.parametrize("name", ["../x", "", "A", "a/b", ".hidden"])
def test_a_name_that_is_no_id_reads_no_file(tmp_path: Path, name: str) -> None:
    assert read_ticket(tmp_path, name) is None


def test_a_gray_model_that_fronts_say_is_gone_makes_one_ticket() -> None:
    reports = [
        GrayReports(
            node=node,
            at_seconds=1_780_000_000,
            routes=(
                GrayReport(route="unproven", models=("owl",), state=GrayState.NO_MODEL, since_seconds=1_779_600_000),
                GrayReport(route="other", models=("kimi",)),
            ),
        )
        for node in ("front-1", "front-2")
    ]
    (found,) = vanished_gray(reports, ours=OURS)
    assert (found.week, found.subject.id, found.subject.routes) == ("2026-W21", "openrouter/owl-alpha", ("unproven",))
    assert found.said_by == "front front-1: the provider has the model no more"
    assert tickets_for([found], ours=OURS)[0].id == "owl-alpha-vanished"


def test_a_front_knows_its_routes_from_its_own_configuration() -> None:
    def api(served: str, asked: str) -> Upstream:
        return Upstream(name=f"openrouter/{served}", kind="api", url="https://x", engine="openrouter", serves=served,
                        model=asked, price=Price(prompt="0.1"))  # fmt: skip

    config = GatewayConfig(
        node="front-1",
        role=GatewayRole.FRONT,
        listen=Listen(host="127.0.0.1", port=1),
        keys_file="keys",
        upstreams=(
            Upstream(name="mini-1/qwen", kind="edge", url="https://y", engine="edge", serves="qwen", model="q"),
            api("flash", "deepseek/deepseek-v4-flash"),
        ),
        routes=(
            Route(name="token-track", upstreams=("mini-1/qwen", "openrouter/flash"), track=Track.TOKEN, gray="pool"),
            Route(name="flash", upstreams=("openrouter/flash",), track=Track.TOKEN),
        ),
    )
    ours = ours_of_config(config)
    assert ours.routes == (OurRoute(name="token-track", track=Track.TOKEN, models=("qwen", "flash"), gray="pool"),)
    assert [(one.served, one.upstream, one.asked, one.prompt) for one in ours.models] == [
        ("flash", "openrouter", "deepseek/deepseek-v4-flash", "0.1")
    ]
