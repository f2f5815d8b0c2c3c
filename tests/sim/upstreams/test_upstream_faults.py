"""The switches of simulated upstreams as values, and the words that they say."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.sim.upstreams.faults import NONE, Faults, faults_in, parse_faults, without_switches
from fleet.sim.upstreams.script import script

NAMES = [one.name for one in fields(Faults)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cut=120", Faults(cut=120)),
        ("cut=120,how=rst", Faults(cut=120, how="rst")),
        ("err=429 retry_after=3", Faults(err=429, retry_after=3)),
        ("hang", Faults(hang=True)),
        ("hang=1,nodone=true,split=0", Faults(hang=True, nodone=True)),
        ("finish=", Faults(finish="")),
        ("finish=eos", Faults(finish="eos")),
        ('tool=get_weather {"city": "Paris, France"}', Faults(tool="get_weather", args='{"city": "Paris, France"}')),
        ("tool=now", Faults(tool="now", args="{}")),
        ("", NONE),
        ("err=200,cut=-1,how=somehow,nothing=1,cut=x", NONE),
        ("cut=99999999999999999999", NONE),
    ],
)
def test_switches_are_read_and_what_is_none_is_passed_over(text: str, found: Faults) -> None:
    assert parse_faults(text) == found


def test_a_prompt_may_hold_several_and_is_itself_again_without_them() -> None:
    prompt = 'Hello @@cut=9@@ there @@tool=f {"a": 1}@@'
    assert faults_in(prompt) == Faults(cut=9, tool="f", args='{"a": 1}')
    assert without_switches(prompt) == "Hello  there"


def test_a_request_says_more_than_its_server() -> None:
    assert Faults(err=429).over(Faults(err=500, delay=5)) == Faults(err=429, delay=5)
    assert NONE.over(Faults(hang=True)) == Faults(hang=True)


@given(text=st.text() | st.lists(st.sampled_from([*NAMES, "=", ",", "1", "fin", "@@", " "]), max_size=30).map("".join))
def test_any_text_is_switches_or_none(text: str) -> None:
    assert isinstance(parse_faults(text), Faults)
    assert isinstance(faults_in(text), Faults)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["messages", "prompt", "max_tokens", "max_completion_tokens", "tools", "tool_choice", "reasoning"]


@given(
    body=st.dictionaries(
        st.sampled_from(KEYS),
        json_values | st.lists(st.dictionaries(st.sampled_from(["role", "content", "function"]), json_values)),
    ),
    faults=st.builds(Faults, tool=st.none() | st.just("f"), args=st.just("{}"), tokens=st.none() | st.integers(0, 9)),
)
def test_any_request_has_an_answer_within_its_bound(body: dict[str, object], faults: Faults) -> None:
    said = script(body, faults, default_tokens=7)
    bound = body.get("max_completion_tokens", body.get("max_tokens"))
    if isinstance(bound, int) and not isinstance(bound, bool) and bound > 0:
        assert len(said.pieces) <= bound
    assert said == script(body, faults, default_tokens=7)
    assert said.prompt_tokens >= 1


def test_the_words_are_the_users_own() -> None:
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello there @@gap=1@@"}]}]}
    assert script(body, NONE, default_tokens=99).text == "You said: Hello there"
    assert script({**body, "max_tokens": 3}, NONE, default_tokens=99).finish == "length"


def test_a_tool_is_called_once_when_it_is_offered() -> None:
    user = {"role": "user", "content": "go"}
    body = {"messages": [user], "tools": [{"type": "function", "function": {"name": "f"}}]}
    faults = Faults(tool="f", args="{}")
    assert script(body, faults, default_tokens=9).finish == "tool_calls"
    assert script({"messages": [user]}, faults, default_tokens=9).call is None
    assert script({**body, "tool_choice": "none"}, faults, default_tokens=9).call is None
    result = {"role": "tool", "tool_call_id": "x", "content": "sunny"}
    assert script({**body, "messages": [user, result]}, faults, default_tokens=9).text == "The tool said: sunny"
