"""A run as it goes: played, paid, cut off anywhere and resumed; never above its ceiling, and nothing is asked twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_doors import FakeDoor
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.errors import Unreachable, UsageError
from fleet.practice.harness.door import Door
from fleet.practice.harness.prepare import again, check_ceiling, check_doors, prepared
from fleet.practice.harness.price import FREE, listed_price
from fleet.practice.harness.purse import Purse
from fleet.practice.harness.report import HarnessReport
from fleet.practice.harness.results import Outcome, RunHead, TargetHead
from fleet.practice.harness.session import Session
from fleet.practice.harness.store import RunBook, begin_run, read_run, report_of
from fleet.practice.harness.suite import Suite
from fleet.practice.harness.suiteproblems import suite_of
from fleet.practice.harness.targets import price_of, target_spec
from fleet.practice.harness.urldoor import UrlDoor
from fleet.traffic.config import Price
from fleet.traffic.tools.offered import Schemas
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.money import PICO_PER_USD
from fleet.vocabulary.names import Tier
from fleet.vocabulary.secret import Secret

ROOT = Path(__file__).parents[3]
GOOD: dict[str, list[Any]] = yaml.safe_load(Path(__file__).with_name("good_answers.yml").read_text())
FIFTY = suite_of(yaml.safe_load((ROOT / "suites" / "fifty.yml").read_text()), Schemas())
SMALL = price_of("1", "4")
USD_PER_TOKEN = 0.000001


def good(request: dict[str, Any]) -> Any:
    """What the good model says: found by what is asked, and by how many steps were made."""
    asked = next(m["content"] for m in reversed(request["messages"]) if m["role"] == "user")
    prompt = next(one for one in FIFTY.prompts if one.messages[-1]["content"] == asked)
    steps = sum("tool_calls" in message for message in request["messages"])
    step = GOOD[prompt.id][steps]
    return [item for call in step for item in call.items()] if isinstance(step, list) else step


def a_suite(count: int, **changes: Any) -> Suite:
    prompts = [
        {"id": f"p{n}", "category": "c", "ask": f"say ok {n}", "expect": {"contains": "ok"}} for n in range(count)
    ]
    return suite_of({"suite": "own", "max_tokens": 20, "prompts": [{**one, **changes} for one in prompts]}, Schemas())


def begin(folder: Path, suite: Suite, targets: Mapping[str, Price | None], *, repeats: int = 1) -> None:
    begin_run(
        folder,
        RunHead(
            run=folder.name,
            suite=suite.name,
            suite_file="own",
            suite_digest=suite.digest,
            prompts=tuple(prompt.head for prompt in suite.prompts),
            targets=tuple(
                TargetHead(name=n, model="m", where="front", tier=Tier.API, price=p) for n, p in targets.items()
            ),
            started_milliseconds=1,
            repeats=repeats,
        ),
    )


def go(folder: Path, suite: Suite, doors: Mapping[str, Door], **more: Any) -> HarnessReport:
    book = RunBook(folder)
    try:
        Session(
            run=read_run(folder),
            suite=suite,
            doors=doors,
            book=book,
            clock=SystemClock(),
            tell=more.pop("tell", lambda line: None),
            pauses_seconds=more.pop("pauses_seconds", (0.0, 0.0)),
            **more,
        ).go()
    finally:
        book.close()
    return report_of(folder)


def test_a_good_model_passes_all_fifty_and_its_tools_are_played_to_the_end(tmp_path: Path) -> None:
    begin(tmp_path, FIFTY, {"api": SMALL})
    door = FakeDoor(say=good, usd_per_token=USD_PER_TOKEN)
    (api,) = go(tmp_path, FIFTY, {"api": door}, ceiling_pico=PICO_PER_USD).targets
    assert (api.passed.hits, api.passed.count, api.failed) == (50, 50, ())
    assert api.tools.hits == api.tools.count == 25
    assert api.pass_pico == api.spent_pico == pytest.approx(door.billed_usd * PICO_PER_USD, abs=200)
    assert len(door.asked) == sum(len(steps) for steps in GOOD.values())
    chain = read_run(tmp_path).finished["api", "tools-order-chain", 0]
    assert (chain.steps, chain.tool_verdicts) == (4, (*[ToolVerdict.OK] * 3, ToolVerdict.NO_CALL))
    assert chain.tools_at_seconds is not None
    assert sum(request["messages"][-1]["content"].startswith('{"order":"A-802"') for request in door.asked) == 1


def test_no_prompt_and_no_answer_is_in_what_a_run_writes(tmp_path: Path) -> None:
    begin(tmp_path, FIFTY, {"api": SMALL})
    go(tmp_path, FIFTY, {"api": FakeDoor(say=good)})
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    for prompt in FIFTY.prompts:
        assert prompt.messages[-1]["content"][:30] not in written
        for step in GOOD[prompt.id]:
            assert not isinstance(step, str) or len(step) < 12 or step[:20] not in written
    assert "kestrel-7731" not in written


def test_a_broken_run_goes_on_where_it_was_and_asks_nothing_twice(tmp_path: Path) -> None:
    begin(tmp_path, FIFTY, {"small": SMALL, "large": price_of("5", "25")})
    stop = threading.Event()
    doors = {name: FakeDoor(say=good, usd_per_token=USD_PER_TOKEN) for name in ("small", "large")}
    heard: list[object] = []

    def tell(line: object) -> None:
        heard.append(line)
        if len(heard) == 30:
            stop.set()

    first = go(tmp_path, FIFTY, doors, stop=stop, tell=tell)
    assert (first.complete, first.ended) == (False, "interrupted")
    assert 30 <= sum(target.tries for target in first.targets) < 40
    second = go(tmp_path, FIFTY, doors)
    assert (second.complete, second.ended) == (True, "")
    firsts = Counter(
        (name, str(request["messages"][-1]["content"]))
        for name, door in doors.items() for request in door.asked if request["messages"][-1]["role"] == "user"
    )  # fmt: skip
    assert (len(firsts), set(firsts.values())) == (100, {1})
    assert second.spent_pico == pytest.approx(sum(d.billed_usd for d in doors.values()) * PICO_PER_USD, abs=500)


_KILLED = """
import os, sys
sys.path[:0] = [{here!r}, {root!r}]
from pathlib import Path
import test_harness_run as kit
from fake_doors import FakeDoor
folder, after = Path(sys.argv[1]), int(sys.argv[2])
door = FakeDoor(usd_per_token=kit.USD_PER_TOKEN)
log = open(folder / "asked", "a", buffering=1)
def before():
    with door.lock:
        log.write(str(door.asked[-1]["messages"][-1]["content"]) + "\\n")
        if len(door.asked) == after:
            os.kill(os.getpid(), int(sys.argv[3]))
door.before = before
suite = kit.a_suite(12)
kit.go(folder, suite, {{"api": door}}, ceiling_pico=kit.PICO_PER_USD, concurrency=1)
"""


def test_a_run_that_is_killed_loses_nothing_and_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    """A real kill -9 in the middle of a request, three times over."""
    suite = a_suite(12)
    begin(tmp_path, suite, {"api": SMALL})
    script = _KILLED.format(here=str(Path(__file__).parent), root=str(ROOT))
    ended = [
        subprocess.run([sys.executable, "-c", script, str(tmp_path), str(after), "9"], check=False).returncode
        for after in (5, 99)
    ]
    assert ended == [-signal.SIGKILL, 0]
    report, run = report_of(tmp_path), read_run(tmp_path)
    assert report.complete
    asked = Counter((tmp_path / "asked").read_text().splitlines())
    assert sorted(asked.values()) == [1] * 11 + [2]
    held = [one for one in run.asked.values() if one.id not in run.settled]
    assert len(held) == 1, "what was in flight stays spent"
    assert report.spent_pico == sum(one.pico for one in run.settled.values()) + held[0].pico


def test_an_interrupt_finishes_what_is_in_flight_and_says_so(tmp_path: Path) -> None:
    """A real SIGINT, as ^C sends it."""
    suite = a_suite(12)
    begin(tmp_path, suite, {"api": SMALL})
    script = _KILLED.format(here=str(Path(__file__).parent), root=str(ROOT))
    words = [sys.executable, "-c", script, str(tmp_path), "5", str(int(signal.SIGINT))]
    ended = subprocess.run(words, check=False, capture_output=True, text=True)
    assert "KeyboardInterrupt" in ended.stderr
    report, run = report_of(tmp_path), read_run(tmp_path)
    assert (report.ended, report.complete) == ("interrupted", False)
    assert set(run.asked) == set(run.settled), "everything that was asked was finished"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert 5 <= len(asked) == report.targets[0].tries < 12


@settings(max_examples=25)
@given(
    st.integers(0, 3000), st.integers(1, 4), st.lists(st.sampled_from([None, None, 503, "cut", "shut"]), max_size=8),
    st.booleans(),
)  # fmt: skip
def test_a_run_is_never_billed_above_its_ceiling(
    tmp_path_factory: pytest.TempPathFactory, ceiling: int, concurrency: int, failing: list[Any], told: bool
) -> None:
    """Whatever fails, and however often it goes on."""
    folder, suite = tmp_path_factory.mktemp("run"), a_suite(6)
    begin(folder, suite, {"a": SMALL, "b": SMALL})
    fail = lambda number: failing[number % len(failing)] if failing else None  # noqa: E731 (a value)
    doors = {name: FakeDoor(usd_per_token=USD_PER_TOKEN, told=told, fail=fail) for name in "ab"}
    most = ceiling * 1_000_000
    for _ in range(3):
        report = go(folder, suite, doors, ceiling_pico=most, concurrency=concurrency)
        assert sum(door.billed_usd for door in doors.values()) * PICO_PER_USD <= most + 1
        assert report.spent_pico <= most


def test_a_ceiling_stops_what_costs_and_not_what_is_free(tmp_path: Path) -> None:
    suite = a_suite(10)
    begin(tmp_path, suite, {"api": SMALL, "own": FREE})
    api, own = go(
        tmp_path, suite, {"api": FakeDoor(usd_per_token=USD_PER_TOKEN), "own": FakeDoor()}, ceiling_pico=0
    ).targets
    assert (api.measured, api.why, own.passed.hits) == (False, "the cost ceiling", 10)


def test_a_provider_that_bills_more_than_its_price_is_asked_no_more(tmp_path: Path) -> None:
    suite = a_suite(10)
    begin(tmp_path, suite, {"api": SMALL})
    (api,) = go(tmp_path, suite, {"api": FakeDoor(usd_per_token=1.0)}, concurrency=1).targets
    assert (api.tries, api.why) == (1, "it cost more than its stated price allows")


def test_what_fails_is_tried_again_and_then_not_measured(tmp_path: Path) -> None:
    suite = a_suite(2)
    begin(tmp_path, suite, {"shaky": FREE, "gone": FREE})
    shaky, gone = FakeDoor(fail=lambda n: 503 if n % 2 else None), FakeDoor(fail=lambda n: "shut")
    one, two = go(tmp_path, suite, {"shaky": shaky, "gone": gone}, concurrency=1).targets
    assert (one.passed.hits, len(shaky.asked)) == (2, 4)
    assert (two.measured, two.unmeasured, two.why) == (False, 2, "unreachable")
    gone.fail = lambda n: None
    (_, two) = go(tmp_path, suite, {"shaky": shaky, "gone": gone}).targets
    assert (two.passed.hits, two.why, len(shaky.asked)) == (2, "", 4)


@pytest.mark.parametrize(("status", "why"), [(401, "its key is not known there"), (404, "there is no such model")])
def test_a_target_that_takes_nobody_is_asked_once(tmp_path: Path, status: int, why: str) -> None:
    suite, door = a_suite(9), FakeDoor(fail=lambda n: status)
    begin(tmp_path, suite, {"api": FREE})
    (api,) = go(tmp_path, suite, {"api": door}, concurrency=1).targets
    assert (len(door.asked), api.measured, api.why.startswith(why)) == (1, False, True)


def test_a_prompt_that_is_refused_has_failed_and_the_rest_goes_on(tmp_path: Path) -> None:
    suite, door = a_suite(4), FakeDoor(fail=lambda n: 400 if n == 2 else None)
    begin(tmp_path, suite, {"api": FREE})
    (api,) = go(tmp_path, suite, {"api": door}, concurrency=1).targets
    assert (api.passed.hits, api.passed.count, api.failed) == (3, 4, ("p1",))


def test_an_answer_cut_after_a_call_began_counts_against_its_tools(tmp_path: Path) -> None:
    tools = {"look": {"description": "d", "parameters": {"type": "object"}, "results": []}}
    suite = suite_of(
        {
            "suite": "own",
            "tools": tools,
            "prompts": [
                {"id": "p", "category": "c", "ask": "look", "tools": ["look"], "expect": {"calls": [{"tool": "look"}]}}
            ],
        },
        Schemas(),
    )
    begin(tmp_path, suite, {"api": FREE})
    door = FakeDoor(
        say=lambda request: "seen" if request["messages"][-1]["role"] == "tool" else [("look", {})],
        fail=lambda n: "cut" if n == 1 else None,
    )
    go(tmp_path, suite, {"api": door})
    (one,) = read_run(tmp_path).finished.values()
    assert one.tool_verdicts == (ToolVerdict.TRUNCATED, ToolVerdict.OK, ToolVerdict.NO_CALL)
    assert one.outcome is Outcome.PASSED


def test_a_model_that_calls_for_ever_is_stopped_after_its_steps(tmp_path: Path) -> None:
    suite = FIFTY.only(frozenset({"tools-weather"}))
    begin(tmp_path, suite, {"api": FREE})
    door = FakeDoor(say=lambda request: [("get_weather", {"city": "Lisbon"})])
    go(tmp_path, suite, {"api": door})
    assert len(door.asked) == 6


# --- before it --------------------------------------------------------------------------------------------------------


def a_listing(**entry: Any) -> list[dict[str, Any]]:
    return [{"id": "flash", "pricing": {"prompt": "0.0000001", "completion": "0.0000004"}, **entry}]


def test_a_target_is_free_here_and_costs_elsewhere_what_its_server_lists() -> None:
    doors = {
        "own": FakeDoor(
            listed=[{"id": "home", "pricing": {"prompt": "0", "completion": "0"}, "fleet": {"upstreams": ["a"]}}]
        ),
        "api": FakeDoor(listed=a_listing(fleet={"upstreams": ["b"]})),
        "two": FakeDoor(listed=a_listing(fleet={"upstreams": ["b", "c"]})),
    }
    specs = [target_spec(text) for text in ("own=home", "api=flash", "two=flash")]
    found = prepared(specs, lambda spec: doors[spec.name])
    assert [target.tier for target in found.targets] == [Tier.FLEET, Tier.API, None]
    assert [target.price for target in found.targets] == [FREE, Price(prompt="0.0000001", completion="0.0000004"), None]
    with pytest.raises(UsageError, match="nobody says what two costs"):
        check_ceiling(found, 1)
    check_ceiling(found, None)


def test_a_server_of_this_machine_is_free_unless_it_lists_a_price() -> None:
    specs = [target_spec(f"{name}=http://127.0.0.1:8800/v1,model=flash") for name in ("mlx", "proxy")]
    listed = {"mlx": [{"id": "flash"}], "proxy": a_listing()}
    found = prepared(specs, lambda spec: FakeDoor(listed=listed[spec.name]))
    assert [target.price for target in found.targets] == [FREE, Price(prompt="0.0000001", completion="0.0000004")]
    assert [target.tier for target in found.targets] == [Tier.LAPTOP, Tier.LAPTOP]


def test_a_target_that_was_away_is_held_to_the_price_that_it_lists_when_the_run_goes_on(tmp_path: Path) -> None:
    suite = a_suite(3)
    begin(tmp_path, suite, {"api": None})
    doors = {"api": FakeDoor(listed=[{**a_listing()[0], "id": "m"}], usd_per_token=USD_PER_TOKEN / 10)}
    found = again(read_run(tmp_path).head.targets, lambda spec: doors[spec.name])
    check_ceiling(found, 1)
    ceiling = PICO_PER_USD
    assert go(tmp_path, suite, doors, ceiling_pico=ceiling, learned=found.learned).complete
    read = read_run(tmp_path)
    assert len(read.asked) == 3, "money was set aside"
    assert read.head.targets[0].price == Price(prompt="0.0000001", completion="0.0000004")
    assert not again(read.head.targets, lambda spec: FakeDoor(listed=[])).learned, "it keeps that price"


@pytest.mark.parametrize("text", ["abc\nX: y", "schl\u00fcssel", "two words", ""])
def test_a_key_that_is_none_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        UrlDoor("https://api.example/v1", key=Secret(text))
    assert not text or text not in caught.value.text
    assert caught.value.hint


def test_openrouter_is_held_to_the_price_that_it_lists() -> None:
    """It lists the cheapest provider's, and would ask a dearer one."""
    found = prepared([target_spec("api=flash")], lambda spec: FakeDoor(listed=a_listing(top_provider={})))
    plain = prepared([target_spec("api=flash")], lambda spec: FakeDoor(listed=a_listing()))
    assert (found.targets[0].max_price, plain.targets[0].max_price) == (True, False)


def test_a_model_that_is_not_there_and_a_door_that_is_shut_are_findings() -> None:
    def open_door(spec: Any) -> Door:
        if spec.name == "laptop":
            raise Unreachable("the front is asleep", node="mini-1")
        return FakeDoor(listed=a_listing())

    found = prepared([target_spec("laptop=home"), target_spec("api=nope")], open_door)
    assert dict(found.absent) == {"laptop": "mini-1: the front is asleep", "api": "there is no model nope there"}
    with pytest.raises(Unreachable, match="no target"):
        check_doors(found)


@pytest.mark.parametrize(
    ("entry", "price"),
    [
        ({}, "0.0000001"),
        ({"pricing": {"prompt": "-1", "completion": "-1"}}, None),
        ({"pricing": {"prompt": "0.1", "completion": "0.1", "overrides": [{"min_prompt_tokens": 1}]}}, None),
        ({"pricing": {"prompt": "x", "completion": "0"}}, None),
        ({"pricing": None}, None),
        ({"fleet": {"upstreams": ["a", "b"], "most": {"prompt": "0.5", "completion": "0.5"}}}, "0.5"),
    ],
)
def test_a_price_is_taken_only_when_it_bounds_what_is_asked(entry: dict[str, Any], price: str | None) -> None:
    found = listed_price(json.dumps({"data": a_listing(**entry)}).encode(), "flash")
    assert (found and found.prompt) == price
    assert listed_price(b"[", "flash") is None


@pytest.mark.parametrize(
    "text",
    ["x", "=m", "a b=m", "x=", "x=m,tier=cloud", "x=m,price=1", "x=m,price=-1/2", "x=m,odd=1", "x=m,model=y",
     "x=https://h/v1", "x=m,price=nan/1", "x=m,price=1e9999999/1", "x=m,price=1e999999/1", "x=m,price=1e-999999/1",
     "x=http://[::1,model=m"],
)  # fmt: skip
def test_a_target_that_is_none_is_refused_with_the_form_of_one(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        target_spec(text)
    assert caught.value.hint


def test_targets_say_where_what_and_for_how_much() -> None:
    spec = target_spec("mlx=http://127.0.0.1:8800/v1,model=default_model")
    assert (spec.tier, spec.price, spec.model) == (Tier.LAPTOP, None, "default_model")
    spec = target_spec("or=https://openrouter.example/api/v1,model=a/b:free,key=env:K,price=0.10/0.40")
    assert (spec.tier, spec.key, spec.price) == (Tier.API, "env:K", Price(prompt="0.0000001", completion="0.0000004"))
    assert (target_spec("laptop=chat").tier, target_spec("x=chat,tier=fleet").tier) == (Tier.LAPTOP, Tier.FLEET)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=20), st.integers(0, 300))
def test_a_purse_never_commits_more_than_its_ceiling(asks: list[tuple[int, int]], ceiling: int) -> None:
    purse, held = Purse(ceiling), []
    for most, cost in asks:
        if len(held) > 2:
            purse.settle(*held.pop(0))
        if purse.committed_pico + most <= ceiling:
            assert purse.reserve(most)
            held.append((most, min(cost, most)))
        assert purse.committed_pico <= ceiling
    assert not Purse(5).reserve(6)
