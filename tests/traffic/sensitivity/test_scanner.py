from __future__ import annotations

import json
from typing import Any

import re2
from hypothesis import given, settings
from hypothesis import strategies as st
from secrets_kit import SECRETS

from fleet.traffic.policy import Scanning
from fleet.traffic.sensitivity.matcher import Re2Matcher, StdlibMatcher
from fleet.traffic.sensitivity.rules import FLEET_RULES, Rule
from fleet.traffic.sensitivity.scanner import Scanner
from fleet.vocabulary.names import Sensitivity

RE2 = Re2Matcher(FLEET_RULES, re2)
STDLIB = StdlibMatcher(FLEET_RULES)
CODE = "def answer(question: str) -> str:\n    return lookup(question).strip()\n"


class Ticks:
    """A clock that goes on by `step` seconds whenever it is read."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Counting:
    """A matcher that counts the pieces it is shown."""

    name = "counting"

    def __init__(self) -> None:
        self.pieces = 0

    def hits(self, piece: str, data: bytes) -> list[Rule]:
        self.pieces += 1
        return RE2.hits(piece, data)


def a_scanner(*, clock: Ticks | None = None, **scanning: Any) -> Scanner:
    return Scanner(RE2, Scanning(**scanning), clock=clock or Ticks())


def asked(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def put(text: str, where: str) -> dict[str, Any]:
    """A request with `text` in one of its parts."""
    user = {"role": "user", "content": "hello"}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    match where:
        case "system":
            return {"messages": [{"role": "system", "content": text}, user]}
        case "part":
            return {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": text}]}
                ]
            }
        case "result":
            return {"messages": [user, {"role": "tool", "tool_call_id": "1", "content": text}]}
        case "arguments":
            call["function"] = {"name": "f", "arguments": json.dumps({"file": {"content": ["x", text]}})}
            return {"messages": [user, {"role": "assistant", "content": None, "tool_calls": [call]}]}
        case "broken arguments":
            call["function"] = {"name": "f", "arguments": '{"content": "' + text}
            return {"messages": [user, {"role": "assistant", "tool_calls": [call]}]}
        case "reasoning":
            return {"messages": [user, {"role": "assistant", "content": "b", "reasoning_content": text}]}
        case "name":
            return {"messages": [{"role": "user", "name": text, "content": "c"}]}
        case "metadata":
            return {"messages": [user], "metadata": {"ticket": {"title": text}}}
        case "metadata's key":
            return {"messages": [user], "metadata": {text: "1"}}
        case "tool":
            return {"messages": [user], "tools": [{"type": "function", "function": {"name": "f", "description": text}}]}
        case "user":
            return {"messages": [user], "user": text}
        case "prompt":
            return {"prompt": ["one", text]}
        case _:
            return {"input": text}


PARTS = (
    *("system", "part", "result", "arguments", "broken arguments", "reasoning", "name", "metadata", "metadata's key"),
    *("tool", "user", "prompt", "input"),
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([(rule, text) for rule, texts in SECRETS.items() for text in texts]),
    st.sampled_from(PARTS),
    st.integers(0, 40_000),
    st.integers(0, 10_000),
    st.sampled_from([RE2, STDLIB]),
)
def test_a_planted_secret_is_found_at_any_offset_of_any_part(
    planted: tuple[str, str], where: str, before: int, after: int, matcher: Re2Matcher | StdlibMatcher
) -> None:
    rule, secret = planted
    filler = CODE * (1 + max(before, after) // len(CODE))
    text = f"{filler[:before]}\n{secret}\n{filler[:after]}"
    verdict = Scanner(matcher, Scanning(), clock=Ticks()).scan(put(text, where))
    assert rule in {hit.rule for hit in verdict.hits}
    assert not verdict.clean
    assert verdict.unseen == ()


@settings(max_examples=30, deadline=None)
@given(st.integers(30_000, 34_000))
def test_a_secret_across_the_border_of_two_pieces_is_found(before: int) -> None:
    secret = SECRETS["github-token"][0]
    assert a_scanner().scan(asked("." * before + secret + "." * 50_000)).hits[0].rule == "github-token"


def test_a_clean_request_is_clean_and_says_how_much_was_scanned() -> None:
    verdict = a_scanner().scan(asked(CODE * 1000))
    assert verdict.clean
    assert verdict.label is None
    assert verdict.scanned_bytes >= len(CODE) * 1000


def test_a_hit_names_its_rule_and_place_and_never_what_it_found() -> None:
    secret = SECRETS["jwt"][0]
    verdict = a_scanner().scan(asked(f"see {secret}"))
    assert [(hit.rule, hit.place) for hit in verdict.hits] == [("jwt", "messages[0].content")]
    assert secret[:16] not in repr(verdict)


def test_a_hit_makes_the_policys_label_unless_the_rule_has_its_own() -> None:
    own = Rule(id="customer", pattern="KD-[0-9]{6}", raise_to=Sensitivity.RESTRICTED)
    scanner = Scanner(Re2Matcher([*FLEET_RULES, own], re2), Scanning(raise_to=Sensitivity.INTERNAL), clock=Ticks())
    assert scanner.scan(asked(SECRETS["iban"][0])).label is Sensitivity.INTERNAL
    assert scanner.scan(asked(SECRETS["iban"][0] + " KD-123456")).label is Sensitivity.RESTRICTED


def test_what_is_too_long_is_not_clean_but_what_fits_was_looked_at() -> None:
    scanner = a_scanner(longest_bytes=100_000)
    assert scanner.scan(asked("." * 120_000)).unseen == ("messages[0].content: more than 100000 bytes",)
    assert scanner.scan(asked(SECRETS["iban"][0] + "." * 120_000)).hits[0].rule == "iban"


def test_what_takes_too_long_is_not_clean() -> None:
    scanner = a_scanner(clock=Ticks(0.009), longest_seconds=0.02)
    assert scanner.scan(asked("." * 120_000)).unseen == ("messages[0].content: more than 20 ms",)


def test_half_a_letter_is_not_clean() -> None:
    verdict = a_scanner().scan(asked("\ud83d " + SECRETS["iban"][0]))
    assert verdict.unseen == ("messages[0].content: no valid UTF-8",)
    assert [hit.rule for hit in verdict.hits] == ["iban"]


def test_images_sounds_files_unknown_parts_and_token_numbers_are_not_clean() -> None:
    def unseen(part: object) -> tuple[str, ...]:
        return a_scanner().scan({"messages": [{"role": "user", "content": [part]}]}).unseen

    place = "messages[0].content[0]: "
    assert unseen({"type": "image_url", "image_url": {"url": "https://x/y.png"}}) == (place + "image_url",)
    assert unseen({"type": "input_audio", "input_audio": {"data": "AAAA"}}) == (place + "input_audio",)
    assert unseen({"type": "file", "file": {"file_id": "1"}}) == (place + "file",)
    assert unseen({"type": "hologram"}) == (place + "hologram",)
    assert unseen({"text": "no type"}) == (place + "unknown",)
    assert unseen(7) == (place + "unknown",)
    assert a_scanner().scan({"messages": ["x"]}).unseen == ("messages[0]: no message",)
    assert a_scanner().scan({"messages": [{"content": 7}]}).unseen == ("messages[0].content: no text and no parts",)
    assert a_scanner().scan({"prompt": [1, 2]}).unseen == ("prompt: token numbers",)
    assert a_scanner().scan({"input": [[1, 2]]}).unseen == ("input: token numbers",)


def test_a_request_nested_beyond_reason_is_not_clean() -> None:
    deep: object = SECRETS["iban"][0]
    for _ in range(100):
        deep = [deep]
    assert a_scanner().scan({"metadata": deep}).unseen == ("metadata: nested too deeply",)


def test_a_request_of_more_strings_than_anybody_sends_is_not_read_to_its_end() -> None:
    many = list(range(1_000_000))
    for request in ({"metadata": many}, {"messages": many}, {"prompt": ["a"] * 1_000_000}, {"tools": [{"a": many}]}):
        verdict = a_scanner().scan(request)
        assert verdict.unseen[-1] == "more than 50000 strings" or len(verdict.unseen) == 8
        assert not verdict.clean


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "tool_calls", "function", "arguments", "x"]), inner
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["messages", "prompt", "input", "tools", "metadata"]), _JSON))
def test_any_json_is_scanned_or_told(request: dict[str, Any]) -> None:
    assert a_scanner().scan(request).scanned_bytes >= 0


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["messages", "prompt", "input", "tools", "metadata"]), _JSON, min_size=1))
def test_a_secret_in_any_json_is_found_or_its_place_is_told(request: dict[str, Any]) -> None:
    """Wherever a string is, put the secret there."""
    secret = SECRETS["github-token"][0]

    def swapped(value: Any) -> Any:
        if isinstance(value, str):
            return secret
        if isinstance(value, list):
            return [swapped(one) for one in value]
        if isinstance(value, dict):
            return {name: swapped(one) for name, one in value.items()}
        return value

    planted = swapped(request)
    if secret in json.dumps(planted):
        assert not a_scanner().scan(planted).clean


def test_what_was_clean_is_not_scanned_again_and_a_hit_is() -> None:
    matcher = Counting()
    scanner = Scanner(matcher, Scanning(), clock=Ticks())
    history = [{"role": "user", "content": CODE * 2000}, {"role": "assistant", "content": "done"}]
    assert scanner.scan({"messages": history}).clean
    first = matcher.pieces
    assert scanner.scan({"messages": [*history, {"role": "user", "content": "go on"}]}).clean
    assert matcher.pieces == first + 1
    for _ in range(2):
        assert not scanner.scan(asked(SECRETS["iban"][0])).clean
    assert matcher.pieces == first + 3


def test_a_prompt_that_grows_is_scanned_where_it_is_new() -> None:
    matcher = Counting()
    scanner = Scanner(matcher, Scanning(), clock=Ticks())
    text = "".join(f"{number} green bottles\n" for number in range(20_000))
    scanner.scan({"prompt": text})
    first = matcher.pieces
    scanner.scan({"prompt": text + "and one more"})
    assert first > 10
    assert matcher.pieces == first + 1


def test_no_more_pieces_are_remembered_than_allowed() -> None:
    scanner = Scanner(RE2, Scanning(), clock=Ticks(), remembered=10)
    for number in range(100):
        scanner.scan(asked(f"bottle {number}"))
    assert len(scanner) == 10


def test_both_matchers_agree_on_what_is_clean() -> None:
    for text in (CODE * 500, *(text for texts in SECRETS.values() for text in texts)):
        assert [rule.id for rule in RE2.hits(text, text.encode())] == [rule.id for rule in STDLIB.hits(text, b"")]
