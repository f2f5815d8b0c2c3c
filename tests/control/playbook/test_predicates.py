"""`when` has three values, and what is not known is never quietly false."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.inventory.yamlsource import parse_yaml
from fleet.control.playbook.facts import fact_values
from fleet.control.playbook.loader import read_playbook
from fleet.control.playbook.predicates import All, AnyOf, GroupTest, Not, Predicate, Scope, Unknown, decide, holds
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.units import GIB

SCOPE = Scope(
    node="mini-1",
    groups=("all", "mlx"),
    all_groups=("all", "mlx", "front"),
    facts={"memory_gb": 64, "chip": "Apple M4"},
    variables={"model": "qwen", "canary": True, "port": 8800},
)


def predicate(text: str) -> Predicate:
    """The predicate of a flow mapping."""
    document = parse_yaml(
        f"- name: p\n  hosts: all\n  tasks:\n    - {{name: t, pmset: {{sleep: 0}}, when: {text}}}\n",
        name="p.yml",
        error=PlaybookError,
    )
    playbook, findings = read_playbook(document, Path("p.yml"))
    assert findings == ()
    when = playbook.plays[0].tasks[0].when
    assert when is not None
    return when


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{group: mlx}", True),
        ("{group: front}", False),
        ("{fact: memory_gb, ge: 64}", True),
        ("{fact: memory_gb, gt: 64}", False),
        ("{fact: memory_gb, ge: 32, lt: 64}", False),
        ("{fact: chip, in: [Apple M4, Apple M3]}", True),
        ("{fact: chip, ne: Apple M4}", False),
        ("{var: model, eq: qwen}", True),
        ("{var: canary, eq: true}", True),
        ("{var: canary, eq: 1}", False),
        ("{var: model, defined: true}", True),
        ("{var: nothing, defined: false}", True),
        ("{var: nothing, defined: true}", False),
        ("{var: nothing, defined: true, eq: 1}", False),
        ("{not: {group: mlx}}", False),
        ("{any: [{group: mlx}, {fact: os_version, eq: '26.4'}]}", True),
        ("{all: [{group: front}, {fact: os_version, eq: '26.4'}]}", False),
    ],
)
def test_a_predicate_that_can_be_decided_is(text: str, expected: bool) -> None:
    assert holds(predicate(text), SCOPE, place="p.yml:4:7") is expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{fact: os_version, eq: '26.4'}", "the fact os_version of mini-1 is not known"),
        ("{not: {fact: os_version, eq: '26.4'}}", "os_version"),
        ("{any: [{group: front}, {fact: os_version, eq: x}]}", "os_version"),
        ("{var: modell, eq: qwen}", "did you mean `model`?"),
        ("{group: mxl}", "did you mean `mlx`?"),
        ("{var: model, ge: 3}", "no order"),
    ],
)
def test_a_predicate_that_hangs_on_the_unknown_is_an_error_that_says_why(text: str, reason: str) -> None:
    with pytest.raises(PlaybookError) as caught:
        holds(predicate(text), SCOPE, place="p.yml:4:7")
    assert "`when` cannot be decided for mini-1" in caught.value.text
    assert reason in caught.value.text


LEAVES = st.sampled_from([GroupTest(group="mlx"), GroupTest(group="front"), GroupTest(group="no-such-group")])
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(All, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def outcomes(tree: Predicate) -> set[bool]:
    """What a tree says when the unknown group is taken to be there and not to be there."""
    found = set()
    for member in (True, False):
        groups = ("mlx", "no-such-group") if member else ("mlx",)
        scope = Scope(node="n", groups=groups, all_groups=("mlx", "front", "no-such-group"), facts={}, variables={})
        answer = decide(tree, scope)
        assert isinstance(answer, bool)
        found.add(answer)
    return found


@given(TREES)
def test_a_decided_predicate_is_what_it_would_be_whatever_the_unknown_turned_out_to_be(tree: Predicate) -> None:
    answer = decide(tree, SCOPE)
    if not isinstance(answer, Unknown):
        assert outcomes(tree) == {answer}


def test_the_nodes_own_memory_wins_over_the_inventorys() -> None:
    assert fact_values(Facts(memory_bytes=64 * GIB), memory_gb=16)["memory_gb"] == 64
    assert fact_values(None, memory_gb=16) == {"memory_gb": 16, "memory_bytes": 16 * GIB}
    assert fact_values(None) == {}


def test_what_changes_by_itself_is_no_fact_for_a_playbook() -> None:
    known = fact_values(Facts(boot_id="x", disk_free_bytes=1, wired_limit_mb=5, chip="Apple M4"))
    assert known == {"chip": "Apple M4"}
