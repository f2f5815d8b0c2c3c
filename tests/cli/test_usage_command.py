"""`fleet usage` and `fleet ledger teams`: the sums of `fleet ledger` over all fronts, and who is away is named."""

from __future__ import annotations

import asyncio
import csv
import io
import random
import re
from decimal import Decimal
from pathlib import Path

import pytest
from ledgered_fleet import Ledgered
from rich.console import Console

from fleet.cli.usagequestion import Show
from fleet.cli.usageview import usage_table
from fleet.practice.usage import Usage
from fleet.vocabulary.contracts.ledger import (
    CostSource,
    Owner,
    Request,
    Reservation,
    Row,
    Settlement,
    ToolVerdict,
)
from fleet.vocabulary.contracts.usage import UsageBy, UsageLine, UsageQuery
from fleet.vocabulary.names import Track

NOVEMBER = 1_793_487_600_000
"""The first of November 2026 in Berlin."""
_OWNERS = (
    Owner(key="anna-1", person="anna", team="red", app="opencode"),
    Owner(key="ben-1", person="ben", team="blue", app="=openclaw"),
)


def rows(seed: int, count: int = 60) -> list[Row]:
    """Three weeks of two teams, on own Macs and at an API; some money is held."""
    dice, found = random.Random(seed), list[Row]()
    for number in range(count):
        name, owner, at = f"{seed}-{number}", dice.choice(_OWNERS), NOVEMBER + number * 30_000_000
        own = number % 3 == 0
        asked = Request(
            id=name,
            at_milliseconds=at,
            owner=owner,
            asked="code",
            route="code",
            track=Track.TOKEN,
            upstream="mini-1.chat" if own else "openrouter/flash",
            node="mini-1" if own else "",
            model="qwen" if own else "flash",
            surface="chat",
            session=f"s{number // 7}",
            prompt_tokens=dice.randrange(100, 90_000),
            completion_tokens=dice.randrange(5_000),
            reasoning_tokens=dice.choice((None, 0, 40)),
            seconds=dice.random() * 30,
            first_token_seconds=dice.random(),
            tools_offered=number % 2,
            tool_verdict=dice.choice((ToolVerdict.OK, ToolVerdict.SCHEMA, ToolVerdict.NO_CALL)) if number % 2 else None,
        )
        found.append(asked)
        if not own:
            found.append(
                Reservation(
                    id=f"{name}/1",
                    request=name,
                    at_milliseconds=at - 500,
                    owner=owner,
                    route="code",
                    track=Track.TOKEN,
                    upstream="openrouter/flash",
                    model="flash",
                    pico=dice.randrange(10**10),
                )
            )
            if number % 10:
                found.append(
                    Settlement(
                        id=f"{name}/1",
                        at_milliseconds=at + 500,
                        pico=dice.randrange(10**10),
                        source=CostSource.PROVIDER,
                    )
                )
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ledgered:
    return Ledgered(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("by", ["model", "team,model", "key,day", "track,week", "month,app,person"])
async def test_its_sums_are_those_of_the_ledger(project: Ledgered, by: str) -> None:
    async with project.fronts(rows(1), rows(2)) as fleet:
        words = ("--by", by, "--since", "2026-11-04", "--until", "2026-11-19", "--json")
        usage = await asyncio.to_thread(fleet.run, "usage", *words)
        ledger = await asyncio.to_thread(fleet.run, "ledger", *words)

    assert (usage.code, ledger.code) == (0, 0), usage.err + ledger.err
    same = [*by.split(","), "requests", "failed", "untold", "prompt_tokens", "completion_tokens", "cached_tokens"]
    same += ["spent_usd", "reserved_usd"]
    mine = [{name: line[name] for name in same} for line in usage.json["lines"]]
    theirs = [{name: line[name] for name in same} for line in ledger.json["lines"]]
    assert mine == theirs
    assert usage.json["total"]["spent_usd"] == ledger.json["total"]["spent_usd"] != "0"
    assert usage.json["total"]["requests"] == sum(line["requests"] for line in theirs)


async def test_a_front_that_is_away_is_named_and_the_exit_code_says_that_the_sums_are_too_small(
    project: Ledgered,
) -> None:
    async with project.fronts(rows(1), away=("front-9",)) as fleet:
        said = await asyncio.to_thread(fleet.run, "usage", "--by", "tier", "--json")

    assert said.code == 3
    assert "front-9" in said.err
    assert (said.json["fronts"], list(said.json["away"])) == (["front-1"], ["front-9"])
    assert {line["tier"] for line in said.json["lines"]} == {"fleet", "api"}


async def test_with_nobody_there_nothing_is_printed(project: Ledgered) -> None:
    async with project.fronts(away=("front-8", "front-9")) as fleet:
        said = await asyncio.to_thread(fleet.run, "usage", "--by", "tier", "--json")

    assert (said.code, said.out) == (4, "")


async def test_the_overview_tells_all_that_issue_eight_asks_for(project: Ledgered) -> None:
    async with project.fronts(rows(1), rows(2)) as fleet:
        said = await asyncio.to_thread(fleet.run, "usage")
        plain = await asyncio.to_thread(fleet.run, "usage", "--plain", "--by", "reasoning")
        tables = [await asyncio.to_thread(fleet.run, "usage", "--by", "model", "--show", s) for s in ("tools", "times")]

    assert said.code == 0, said.err
    text = said.out
    for head in ("track", "model", "team", "app", "tier", "reasoning", "week  "):
        assert f"\n{head}" in text
    assert text.startswith("120 requests (0 failed), ")
    assert "18 conversations" in text
    assert "calls failed" in text
    assert re.search(r"^2026-W46 +flash +\d+ ", text, re.MULTILINE), "a line of the table is a line of 80 columns"
    assert max(map(len, text.splitlines())) <= 80
    assert {line.split()[0] for line in plain.out.splitlines()} == {"reasoning=yes", "reasoning=no", "reasoning=-"}
    assert "seconds_p95" not in plain.out  # nobody asked for it, and it is not 0
    assert "most of all" in tables[0].out
    assert "tool P50" in tables[1].out


async def test_csv_is_one_table_with_exact_amounts_and_no_formula(project: Ledgered) -> None:
    async with project.fronts(rows(1)) as fleet:
        said = await asyncio.to_thread(fleet.run, "usage", "--by", "app", "--csv")
        total = await asyncio.to_thread(fleet.run, "ledger", "--by", "app", "--json")

    table = list(csv.DictReader(io.StringIO(said.out)))
    assert {row["app"] for row in table} == {"opencode", "'=openclaw"}
    assert sum(Decimal(row["spent_usd"]) for row in table) == Decimal(total.json["total"]["spent_usd"])
    assert all(float(row["turns_p95"]) >= 1 for row in table)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--by", "prompt"), "'prompt' is nothing that requests are added up by"),
        (("--by", "model,model"), "up to four different names"),
        (("--csv",), "--csv is one table"),
        (("--json", "--plain"), "more than one of"),
        (("--since", "2026-13"), "'2026-13' is no time"),
        (("--since", "2026-11", "--until", "2026-11"), "--until is not after --since"),
    ],
)
async def test_whoever_asks_wrongly_is_told_before_anybody_is_asked(
    project: Ledgered, words: tuple[str, ...], says: str
) -> None:
    async with project.fronts(away=("front-1",)) as fleet:
        said = await asyncio.to_thread(fleet.run, "usage", *words)

    assert (said.code, said.out) == (2, "")
    assert says in said.err


_COSTS = """\
    mlx:
      hosts:
        mini-1: {ansible_host: 10.0.0.2, own_cost: {usd_per_month: 99.99}}
        mini-2: {ansible_host: 10.0.0.3, own_cost: {usd_per_month: 50, watts: 60, idle_watts: 5, usd_per_kwh: 0.3}}
"""


async def test_a_month_by_team_has_every_cent_of_the_ledger_and_of_the_own_macs(project: Ledgered) -> None:
    async with project.fronts(rows(1), rows(2), macs=_COSTS) as fleet:
        said = await asyncio.to_thread(fleet.run, "ledger", "teams", "--month", "2026-11", "--csv", "-")
        file = await asyncio.to_thread(fleet.run, "ledger", "teams", "--month", "2026-11", "--csv", "teams.csv")
        shown = await asyncio.to_thread(fleet.run, "ledger", "teams", "--month", "2026-11")
        ledger = await asyncio.to_thread(
            fleet.run, "ledger", "--by", "team", "--since", "2026-11", "--until", "2026-12", "--json"
        )

    assert said.code == 0, said.err
    assert Path("teams.csv").read_text() == said.out
    assert file.out == ""
    table = list(csv.DictReader(io.StringIO(said.out)))
    assert {(row["cost_centre"], row["team"]) for row in table} == {("4711", "red"), ("4712", "blue"), ("", "(unused)")}
    for line in ledger.json["lines"]:
        billed = sum(Decimal(row["api_usd"]) for row in table if row["team"] == line["team"])
        assert billed == Decimal(line["spent_usd"])
    on_mini = [row for row in table if row["node"] == "mini-1"]
    assert sum(Decimal(row["own_usd_imputed"]) for row in on_mini) == Decimal("99.99")
    assert {row["team"] for row in on_mini} == {"red", "blue"}
    (unused,) = (row for row in table if row["team"] == "(unused)")
    assert (unused["node"], Decimal(unused["own_usd_imputed"])) == ("mini-2", 50 + Decimal("0.3") * 5 * 720 / 1000)
    assert "cost centre" in shown.out


async def test_the_cost_of_a_mac_that_nobody_stated_is_told_as_unknown_and_not_as_0(project: Ledgered) -> None:
    async with project.fronts(rows(1)) as fleet:
        said = await asyncio.to_thread(fleet.run, "ledger", "teams", "--month", "2026-11")

    assert "no own_cost in the inventory, so no share of it: mini-1" in said.err
    assert all(re.search(r"  -  +-$", line) for line in said.out.splitlines()[1:]), said.out


def test_tokens_and_reasoning_that_nobody_told_are_unknown_and_not_0() -> None:
    silent = UsageLine(names=("mlx",), requests=3, untold=3)
    told = UsageLine(names=("flash",), requests=1, prompt_tokens=7, completion_tokens=2)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(usage_table(Usage(query=UsageQuery(by=(UsageBy.MODEL,)), lines=(silent, told)), Show.TOKENS))
    text = console.export_text()
    assert re.search(r"^mlx +3 +- +- +0.00 *$", text, re.MULTILINE), text
    assert "reason" not in text


@pytest.mark.parametrize("month", ["9999-12", "2026-13", "2026", "2026-11-01", "november"])
async def test_what_is_no_month_is_refused(project: Ledgered, month: str) -> None:
    async with project.fronts(away=("front-1",)) as fleet:
        said = await asyncio.to_thread(fleet.run, "ledger", "teams", "--month", month)

    assert said.code == 2
    assert "is no" in said.err
