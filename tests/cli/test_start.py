"""Only the plainest words of plan and deploy take the short way; anything else is the command line's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cli.start import Plain, plainly

WORDS = ("deploy", "plan", "-y", "--yes", "--on", "mini-1", "site", "-i", "x.yml", "--json", "--force", "-h", "", "--")


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        ("deploy --yes", Plain("deploy")),
        ("deploy -y", Plain("deploy")),
        ("plan", Plain("plan")),
        ("plan other --on mlx", Plain("plan", playbook="other", on="mlx")),
        ("-i inventory/a.yml deploy site.yml --yes --on a,b", Plain("deploy", "inventory/a.yml", on="a,b")),
        ("deploy", None),
        ("plan --yes", None),
        ("plan --json", None),
        ("deploy --yes --force", None),
        ("deploy --yes --on", None),
        ("deploy --yes --on a --on b", None),
        ("deploy --yes one two", None),
        ("--set a=1 deploy --yes", None),
        ("-i", None),
        ("", None),
        ("status", None),
    ],
)
def test_words_are_plain_or_not(words: str, plain: Plain | None) -> None:
    assert plainly(words.split(), environ={}) == plain


def test_the_inventory_of_the_environment_gives_way_to_the_one_that_is_typed() -> None:
    environ = {"FLEET_INVENTORY": "env.yml"}
    assert plainly(["plan"], environ=environ) == Plain("plan", "env.yml")
    assert plainly(["-i", "typed.yml", "plan"], environ=environ) == Plain("plan", "typed.yml")


@given(st.lists(st.sampled_from(WORDS), max_size=7))
def test_no_words_raise_and_a_plain_deploy_always_said_yes(words: list[str]) -> None:
    plain = plainly(words, environ={})
    if plain is not None:
        assert plain.verb == "plan" or {"-y", "--yes"} & set(words)
        assert not {"--json", "--force", "-h"} & set(words) - {plain.on, plain.inventory}
