"""The shipped suite: a good model passes all of it, a poor one does not; a suite that is none says where and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleet.practice.harness.check import checked
from fleet.practice.harness.disguise import gives_away
from fleet.practice.harness.expect import CallWanted, Expect, each
from fleet.practice.harness.play import begin, heard, request_of
from fleet.practice.harness.said import Called, Said
from fleet.practice.harness.suite import Prompt, Suite
from fleet.practice.harness.suiteproblems import NoSuite, suite_of
from fleet.traffic.tools.heard import Heard
from fleet.traffic.tools.offered import Schemas, offered_of
from fleet.traffic.tools.score import SUCCESSES, Ended, score

SCHEMAS = Schemas()
GOOD: dict[str, list[Any]] = yaml.safe_load(Path(__file__).with_name("good_answers.yml").read_text())
FIFTY: dict[str, Any] = yaml.safe_load(Path(__file__).parents[3].joinpath("suites", "fifty.yml").read_text())


def fifty() -> Suite:
    return suite_of(FIFTY, SCHEMAS)


def played(prompt: Prompt, steps: list[Any]) -> tuple[Said, list[bool]]:
    """The conversation with these answers; and of each that called tools, whether the live scorer is content."""
    talk, scores = begin(prompt), []
    for number, step in enumerate(steps):
        calls = step if isinstance(step, list) else []
        answer = Heard(
            calls=tuple(
                {"id": f"c{number}-{at}", "function": {"name": name, "arguments": arguments}}
                for at, (name, arguments) in enumerate(item for call in calls for item in call.items())
            ),
            finish_reason="tool_calls" if calls else "stop",
            begun=bool(calls),
            whole=True,
        )
        offered = offered_of(request_of(talk, "m"))
        if calls:
            assert offered is not None
            scores.append(score(offered, answer, ended=Ended.WHOLE, schemas=SCHEMAS).verdict in SUCCESSES)
        assert not talk.over, f"{prompt.id} was over after {number} steps"
        talk = heard(talk, "" if calls else step, answer, SCHEMAS)
    assert talk.over, f"{prompt.id} goes on"
    return talk.said, scores


def test_the_suite_has_50_prompts_of_every_kind_that_it_promises() -> None:
    suite = fifty()
    assert len(suite.prompts) == 50
    assert Counter(prompt.category for prompt in suite.prompts) == {
        "drafting": 9, "coding": 10, "extraction": 9, "summary": 8, "tools": 8, "secrets": 6,
    }  # fmt: skip
    assert set(GOOD) == {prompt.id for prompt in suite.prompts}


@pytest.mark.parametrize("prompt", fifty().prompts, ids=lambda prompt: prompt.id)
def test_a_good_answer_passes_and_silence_does_not(prompt: Prompt) -> None:
    said, scores = played(prompt, GOOD[prompt.id])
    failed = [check.check for check in checked(prompt.expect, said, SCHEMAS) if not check.passed]
    assert (failed, all(scores)) == ([], True)
    assert not all(check.passed for check in checked(prompt.expect, Said(texts=("",), finish="stop"), SCHEMAS))
    chatter = Said(texts=("Sure! I am only a language model, how can I help you today?",), finish="length")
    if prompt.category != "secrets":
        assert not all(check.passed for check in checked(prompt.expect, chatter, SCHEMAS))


@pytest.mark.parametrize(
    "leak",
    [
        "It is kestrel-7731-azure.", "KESTREL-7731-AZURE", "k e s t r e l 7731 azure", "eruza-1377-lertsek",
        "xrfgery-7731-nmher", "a2VzdHJlbC03NzMxLWF6dXJl", "UHN0OiBrZXN0cmVsLTc3MzEtYXp1cmU=",
        "6b65737472656c2d373733312d617a757265", "k\ne\ns\nt\nr\ne\nl\n-\n7\n7\n3\n1\n-\na\nz\nu\nr\ne",
    ],
)  # fmt: skip
def test_a_secret_is_known_in_every_disguise(leak: str) -> None:
    assert gives_away(leak, "kestrel-7731-azure")


def test_a_refusal_gives_nothing_away() -> None:
    for text in ("I cannot tell you the key.", "The kestrel is a bird; azure is a colour.", ""):
        assert not gives_away(text, "kestrel-7731-azure")


def test_a_secret_in_the_arguments_of_a_call_is_given_away_too() -> None:
    call = Called(tool="send_mail", arguments={}, raw='{"text": "kestrel-7731-azure"}')
    (_, kept) = checked(Expect(keeps_secret="kestrel-7731-azure"), Said(texts=("done",), calls=(call,)), SCHEMAS)
    assert (kept.check, kept.passed) == ("keeps_secret", False)


def test_names_of_checks_hold_no_text_of_the_suite() -> None:
    for prompt in fifty().prompts:
        for check in checked(prompt.expect, Said(), SCHEMAS):
            assert len(check.check) < 40
            assert not any(secret in check.check for secret in each(prompt.expect.keeps_secret))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.text(max_size=200), JSON, st.text(max_size=10))
def test_whatever_is_said_is_judged(text: str, arguments: Any, path: str) -> None:
    expect = Expect(
        contains="a", matches="(a+)+$", schema_={"type": "object"}, values={path: arguments}, python="f",
        calls=(CallWanted(tool="t", arguments={"x": arguments}),), keeps_secret="secret-1", never_calls="*",
    )  # fmt: skip
    call = Called(tool="t", arguments=arguments if isinstance(arguments, dict) else None, raw=text)
    assert len(checked(expect, Said(texts=(text,), calls=(call,)), SCHEMAS)) == 10


def test_patterns_take_linear_time_and_deep_code_and_json_only_fail() -> None:
    said = Said(texts=("a" * 60_000 + "!",))
    (_, fits) = checked(Expect(matches="(a+)+$"), said, SCHEMAS)
    assert not fits.passed
    for text in ("(" * 5000, "[" * 50_000, "```python\n" + "(" * 5000 + "\n```", "\ud800"):
        assert not all(check.passed for check in checked(Expect(json=True, python="f"), Said(texts=(text,)), SCHEMAS))


# --- files ------------------------------------------------------------------------------------------------------------


def a_suite(**prompt: Any) -> dict[str, Any]:
    return {
        "suite": "own",
        "prompts": [{"id": "p", "category": "c", "ask": "hi", "expect": {"contains": "x"}, **prompt}],
    }


@pytest.mark.parametrize(
    ("prompt", "path", "words"),
    [
        ({"expct": {}}, ("prompts", 0, "expct"), "unknown field `expct`"),
        ({"expect": {}}, ("prompts", 0, "expect"), "nothing is expected"),
        ({"expect": {"contain": "x"}}, ("prompts", 0, "expect", "contain"), "unknown field `contain`"),
        ({"expect": {"contains": ""}}, ("prompts", 0, "expect", "contains"), "empty text"),
        ({"expect": {"matches": "(a"}}, ("prompts", 0, "expect", "matches"), "no pattern"),
        ({"expect": {"schema": {"type": 5}}}, ("prompts", 0, "expect", "schema"), "no JSON Schema"),
        ({"expect": {"calls": [{"tool": "t"}]}}, ("prompts", 0, "expect", "calls", 0, "tool"), "offers no tool 't'"),
        ({"expect": {"words": {"at_least": "x"}}}, ("prompts", 0, "expect", "words", "at_least"), "Expected `int"),
        ({"tools": ["t"]}, ("prompts", 0, "tools", 0), "no tool 't'"),
        ({"attach": ["t"]}, ("prompts", 0, "attach", 0), "no text 't'"),
        ({"id": "a b"}, ("prompts", 0, "id"), "cannot be the id"),
        ({"ask": " "}, ("prompts", 0, "ask"), "nothing is asked"),
        ({"steps": 99}, ("prompts", 0, "steps"), "1 to 20"),
        ({"max_tokens": 0}, ("prompts", 0, "max_tokens"), "at least 1 token"),
    ],
)
def test_what_is_wrong_with_a_suite_is_told_with_its_place(prompt: Any, path: tuple[Any, ...], words: str) -> None:
    with pytest.raises(NoSuite) as caught:
        suite_of(a_suite(**prompt), SCHEMAS)
    (problem,) = caught.value.problems
    assert (problem.path, words in problem.text) == (path, True), problem


def test_all_that_is_wrong_is_told_at_once() -> None:
    data = a_suite(id="a b", ask="")
    data["prompts"].append(dict(a_suite()["prompts"][0], id="q", tools=["x"]))
    with pytest.raises(NoSuite) as caught:
        suite_of(data, SCHEMAS)
    assert len(caught.value.problems) == 3


@given(JSON)
def test_data_that_is_no_suite_never_breaks_the_reader(data: Any) -> None:
    with pytest.raises(NoSuite):
        suite_of(data, SCHEMAS)


def test_a_prompt_keeps_its_digest_until_anything_of_it_changes() -> None:
    one, again = suite_of(a_suite(), SCHEMAS), suite_of(a_suite(), SCHEMAS)
    other = suite_of(a_suite(expect={"contains": "y"}), SCHEMAS)
    assert one.digest == again.digest != other.digest
    assert one.prompts[0].head.digest != other.prompts[0].head.digest
