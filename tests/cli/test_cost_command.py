"""`fleet cost whatif`: the ledger replayed, a stated mix, and the case of six people with all that it assumes."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ledgered_fleet import Ledgered, Said
from test_usage_command import rows

_APIS = """\
    upstreams:
      openrouter:
        models:
          flash: {asked: deepseek/flash, price: {prompt_per_million: 0.14, completion_per_million: 0.28}}
          kimi: {asked: moonshot/kimi, price: {prompt_per_million: 0.6, completion_per_million: 2.5}}
          owl: owl/alpha
    routes: {cheap: [kimi, flash]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ledgered:
    return Ledgered(tmp_path, monkeypatch, capsys)


async def whatif(project: Ledgered, *words: str, away: tuple[str, ...] = ()) -> Said:
    async with project.fronts(rows(1), away=away, variables=_APIS) as fleet:
        return await asyncio.to_thread(fleet.run, "cost", "whatif", *words)


def row(found: Any, name: str) -> Any:
    return next(one for one in found if one["name"] == name)


async def test_the_ledger_is_replayed_with_the_prices_of_the_inventory(project: Ledgered) -> None:
    said = await whatif(project, "--move", "qwen=kimi", "--move", "flash=qwen:0.5", "--json")

    assert said.code == 0, said.err
    found = said.json
    spent = Decimal(found["before_usd"])
    qwen, kimi = row(found["before"], "qwen"), row(found["after"], "kimi")
    assert kimi["tokens"] == qwen["tokens"]
    assert qwen["usd"] == "0"
    flash = Decimal(row(found["after"], "flash")["usd"])
    assert abs(flash - spent / 2) <= Decimal("1e-12")
    assert Decimal(found["after_usd"]) == flash + Decimal(kimi["usd"])
    listed = "\n".join(found["assumptions"])
    assert "kimi: 0.6 in, cached as any, 2.5 out USD per million tokens (the inventory's openrouter)" in listed
    assert "qwen: 0 USD a token, on own Macs" in listed


async def test_a_route_stands_for_its_first_model(project: Ledgered) -> None:
    said = await whatif(project, "--move", "route:code=cheap", "--json")

    assert [one["name"] for one in said.json["after"]] == ["kimi"]


async def test_a_price_that_nobody_states_is_named_and_the_sum_is_unknown(project: Ledgered) -> None:
    said = await whatif(project, "--move", "qwen=owl")

    assert said.code == 3
    assert "no price is known for owl" in said.out
    assert "-> ? USD" in said.out


async def test_a_stated_price_is_taken_and_its_source_is_told(project: Ledgered) -> None:
    said = await whatif(project, "--move", "qwen=owl", "--price", "owl=0.1,0.2,0.01", "--json")

    assert (said.code, said.json["unknown_prices"]) == (0, [])
    assert any(
        "owl: 0.1 in, cached 0.01, 0.2 out USD per million tokens (--price)" in a for a in said.json["assumptions"]
    )


async def test_a_front_that_is_away_is_named_and_the_exit_code_says_so(project: Ledgered) -> None:
    said = await whatif(project, "--move", "qwen=kimi", "--json", away=("front-9",))

    assert said.code == 3
    assert "front-9" in said.err
    assert any("front-9 did not answer" in note for note in said.json["notes"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing is to be different"),
        (("--move", "qwen"), "'qwen' moves nothing"),
        (("--move", "quen=kimi"), "nothing of quen is in that time"),
        (("--price", "owl=cheap,1"), "'cheap' is not a number"),
        (("--price", "flsh=1,2"), "nothing of flsh is in that time"),
        (("--move", "qwen=kimi:0.8", "--move", "qwen=flash:0.8"), "more than all of qwen is moved"),
        (("--case", "six-people", "--move", "a=b"), "has its own routes and prices"),
        (("--case", "six-person"), "there is no case 'six-person'"),
        (("--mix", "nowhere.yml"), "cannot be read"),
    ],
)
async def test_whoever_asks_wrongly_is_told(project: Ledgered, words: tuple[str, ...], says: str) -> None:
    said = await whatif(project, *words)

    assert (said.code, said.out) == (2, "")
    assert says in said.err


async def test_a_mistake_in_a_file_is_shown_at_its_place(project: Ledgered, tmp_path: Path) -> None:
    text = "title: x\ntokens: 5\nshape: {completion: 0.1}\nprices:\n  big: {prompt: cheap, completion: 1}\n"
    (tmp_path / "mix.yml").write_text(
        text + "before: {parts: [{model: big, share: 1}]}\nafter: {parts: [{model: big, share: 1}]}\n"
    )
    typed = await asyncio.to_thread(project.run, "cost", "whatif", "--mix", "mix.yml")
    (tmp_path / "mix.yml").write_text(
        text.replace("cheap", "1")
        + "before: {parts: [{model: big, share: 1}]}\nafter: {parts: [{model: big, share: 0.5}]}\n"
    )
    shares = await asyncio.to_thread(project.run, "cost", "whatif", "--mix", "mix.yml")

    assert typed.code == shares.code == 2
    assert typed.err.startswith("mix.yml:5:17: prices.big.prompt: expected")
    assert shares.err.startswith("mix.yml:7:16: the shares add up to 0.5, not to 1")


async def test_the_case_of_six_people_is_printed_with_all_that_it_assumes(project: Ledgered) -> None:
    said = await asyncio.to_thread(project.run, "cost", "whatif", "--case", "six-people")
    text = " ".join(said.out.split())

    assert said.code == 0, said.err
    for words in (
        "3,200.00 -> 1,940.71 USD (-39.4 %)",
        "after: the source says 1,940.00 USD, +0.0 % from it here; it is within the bounds",
        "with what is assumed at its bounds: 308.47 to 4,193.26 USD",
        "nobody counted them",
        "18 % to a gray pool contradicts the source's own rule of at most 10 %",
        "the shares alone do not make 1,940",
        "what the source does not state",
        "whether the rent of the remote Mac is in the 1,940",
    ):
        assert words in text
