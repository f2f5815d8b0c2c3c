"""A model that answers otherwise than it is known to fails its gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sync_kit import Node
from test_apply import first_release

from fleet.node.sync.golden import asked, completion, difference
from fleet.node.sync.machine import Answer
from fleet.vocabulary.contracts.codec import canonical, decode
from fleet.vocabulary.contracts.desired import GenerateGate, GoldenAnswer

URL = "http://127.0.0.1:8800"
LABEL = "org.fleet-macs.gateway"


JSON = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["choices", "message", "content"]), inner),
)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def golden(answer: str, name: str = "long.txt") -> GoldenAnswer:
    return GoldenAnswer(name=name, prompt="What is the capital of France?", answer=answer, max_tokens=8)


def gate(*answers: GoldenAnswer) -> GenerateGate:
    return GenerateGate(label=LABEL, url=URL, golden=answers or None)


def says(node: Node, text: str) -> None:
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
    node.mac.answers = {f"{URL}/v1/chat/completions": Answer(status=200, body=body)}


def test_a_golden_answer_that_comes_passes_whatever_blanks_are_around_it(node: Node) -> None:
    release = first_release(node)
    release.gates.append(gate(golden("Paris.")))
    says(node, " Paris.\n")
    assert node.deploy(release) == "committed"


def test_another_answer_reverts_the_run_and_both_are_shown(node: Node) -> None:
    first = first_release(node)
    node.deploy(first)
    release = first_release(node, text="two")
    release.gates.append(gate(golden("Paris.")))
    says(node, "Lyon.")
    assert node.deploy(release) == "reverted"
    assert "long.txt: expected 'Paris.', got 'Lyon.'" in node.end().text
    assert node.plan(first) == ()


def test_nothing_is_left_to_chance_when_a_golden_prompt_is_asked() -> None:
    body = json.loads(asked(gate(golden("x")), golden("x")))
    assert (body["temperature"], body["max_tokens"], body["stream"]) == (0, 8, False)
    assert body["messages"] == [{"role": "user", "content": "What is the capital of France?"}]
    assert "temperature" not in json.loads(asked(gate(), None))


def test_a_long_answer_is_shown_from_shortly_before_it_differs() -> None:
    text = difference(golden("a" * 500 + "b" * 500), "a" * 500 + "c" * 500)
    assert len(text) < 400
    assert f"'{'a' * 20}bb" in text
    assert f"'{'a' * 20}cc" in text
    assert "…" in text


def test_an_answer_that_ends_early_is_another_answer() -> None:
    assert difference(golden("Paris is"), "Paris") == "long.txt: expected 'Paris is', got 'Paris'"


def test_a_gate_without_golden_answers_has_the_state_of_older_releases() -> None:
    assert b"golden" not in canonical(gate())
    one = gate(golden("Paris."))
    assert decode(canonical(one), GenerateGate) == one


@given(st.binary() | JSON.map(lambda data: json.dumps(data).encode()))
def test_whatever_a_server_says_is_a_completion_or_none(body: bytes) -> None:
    assert completion(body) is None or isinstance(completion(body), str)


@given(st.text(), st.text())
def test_answers_differ_exactly_when_their_texts_do(want: str, got: str) -> None:
    assert bool(difference(golden(want), got)) == (want.strip() != got.strip())
