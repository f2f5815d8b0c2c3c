from __future__ import annotations

import re
import sys

import msgspec
import pytest
import re2
from secrets_kit import HARMLESS, SECRETS

from fleet.traffic.sensitivity.matcher import Matcher, Re2Matcher, StdlibMatcher, matcher_of
from fleet.traffic.sensitivity.rules import FLEET_RULES, LONGEST_MATCH, RulesError, rules_of
from fleet.traffic.sensitivity.validators import entropy, iban, jwt, luhn, mail, password
from fleet.vocabulary.names import Sensitivity

RE2 = Re2Matcher(FLEET_RULES, re2)
STDLIB = StdlibMatcher(FLEET_RULES)


def found(matcher: Matcher, text: str) -> list[str]:
    return [rule.id for rule in matcher.hits(text, text.encode())]


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in SECRETS.items() for text in texts])
@pytest.mark.parametrize(
    "around", ["{}", "x = '{}'", '{{"text": "line\\n{}\\n"}}', "?q=a%20{}", "({}, 1)", "Größe 10 €: {} …"]
)
def test_a_rule_finds_what_it_is_for_wherever_it_stands(rule: str, text: str, around: str) -> None:
    assert rule in found(RE2, around.format(text))
    assert rule in found(STDLIB, around.format(text))


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in HARMLESS.items() for text in texts])
def test_a_rule_leaves_alone_what_only_looks_like_it(rule: str, text: str) -> None:
    assert rule not in found(RE2, f"before {text} after")
    assert rule not in found(STDLIB, f"before {text} after")


def test_every_rule_of_fleet_has_vectors_of_both_kinds() -> None:
    assert {*SECRETS} == {*HARMLESS} == {rule.id for rule in FLEET_RULES}
    assert max(len(text) for texts in SECRETS.values() for text in texts) < LONGEST_MATCH


def test_the_literals_of_a_rule_are_in_all_that_it_finds() -> None:
    for rule in FLEET_RULES:
        for text in SECRETS[rule.id]:
            assert not rule.near or any(literal in text.lower() for literal in rule.near), rule.id
            assert re.search(rule.gate, text), rule.id


def test_letters_that_grow_when_they_are_made_small_hide_nothing() -> None:
    assert found(STDLIB, "İ" * 3000 + " " + SECRETS["aws-access-key"][0]) == ["aws-access-key"]


def test_re2_is_taken_where_it_is_there() -> None:
    assert matcher_of(FLEET_RULES).name == "re2"


def test_two_rules_in_one_text_are_both_told() -> None:
    text = SECRETS["iban"][0] + "\n" + SECRETS["jwt"][0]
    assert found(RE2, text) == found(STDLIB, text) == ["jwt", "iban"]


def test_an_operators_rule_stands_beside_those_of_fleet() -> None:
    own = {"id": "customer", "pattern": "KD-[0-9]{6}", "raise_to": "restricted", "examples": ["KD-123456"]}
    rules = rules_of({"schema": 1, "rules": [own], "without": ["iban"]})
    assert [rule.id for rule in rules][-1] == "customer"
    assert "iban" not in {rule.id for rule in rules}
    assert rules[-1].raise_to is Sensitivity.RESTRICTED
    assert found(matcher_of(rules), "see KD-654321 and " + SECRETS["iban"][0]) == ["customer"]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"id": "a", "pattern": "x(?=y)"}, "rules[0].pattern: '(?=' is not in RE2's language"),
        ({"id": "a", "pattern": r"(x)\1"}, r"rules[0].pattern: '\\1' is not in RE2's language"),
        ({"id": "a", "pattern": "x++"}, "rules[0].pattern: '++' is not in RE2's language"),
        ({"id": "a", "pattern": "("}, "rules[0].pattern: missing )"),
        ({"id": "a", "pattern": "x{2000}"}, "rules[0].pattern: RE2 does not take it: invalid repetition size"),
        ({"id": "a", "pattern": "x*"}, "rules[0].pattern: it matches nothing at all"),
        ({"id": "A b", "pattern": "x"}, "rules[0].id: 'A b' must be"),
        ({"id": "iban", "pattern": "x"}, "rules[0].id: 'iban' is there twice"),
        ({"id": "a", "pattern": "x", "validator": "lun"}, "rules[0].validator: 'lun' is unknown; there are luhn"),
        ({"id": "a", "pattern": "x", "near": ["X"]}, "rules[0].near: must be in small letters"),
        ({"id": "a", "pattern": "x", "least": 0}, "rules[0].least: 0 must be 1 or more"),
        ({"id": "a", "pattern": "x", "examples": ["y"]}, "rules[0].examples[0]: the rule does not find it"),
        ({"id": "a", "pattern": "x", "counterexamples": ["x"]}, "rules[0].counterexamples[0]: the rule finds it"),
        ({"id": "a", "patern": "x"}, "unknown field `patern` - at `$.rules[0]`"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_its_place(rule: dict[str, object], told: str) -> None:
    with pytest.raises(RulesError, match=re.escape(told)):
        rules_of({"rules": [rule]})


def test_a_file_of_another_time_or_with_an_unknown_name_is_refused() -> None:
    with pytest.raises(RulesError, match="schema: 2 is unknown"):
        rules_of({"schema": 2})
    with pytest.raises(RulesError, match="without\\[0\\]: 'ibann' is none of"):
        rules_of({"without": ["ibann"]})
    assert rules_of(msgspec.json.decode("{}")) == FLEET_RULES


@pytest.mark.parametrize("check", [luhn, iban, jwt, entropy, password, mail])
@pytest.mark.parametrize("data", [b"\xff\xfe", b"=", b"eyJ", b"eyJ\xff.x", b"-", b"9" * 40, b"a" * 40, "é".encode()])
def test_a_validator_takes_any_bytes(check: object, data: bytes) -> None:
    assert callable(check)
    assert check(data) in (True, False)


def test_without_re2_the_same_rules_are_tried_by_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    matcher = matcher_of(FLEET_RULES)
    assert matcher.name == "re"
    assert found(matcher, "see " + SECRETS["iban"][0]) == ["iban"]
    assert len(rules_of({"rules": [{"id": "a", "pattern": "x{2000}"}]})) == len(FLEET_RULES) + 1
