from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.openai_error import Refused
from fleet.traffic.policy import Policy, Repo
from fleet.traffic.sensitivity.labels import Labeller, Said, Source, repo_name
from fleet.vocabulary.names import Sensitivity

PUBLIC, INTERNAL, SENSITIVE, RESTRICTED = Sensitivity
REPOS = (
    Repo(pattern="acme/docs", sensitivity=PUBLIC),
    Repo(pattern="acme/*", sensitivity=INTERNAL),
    Repo(pattern="github.com/acme/customer-*", sensitivity=SENSITIVE),
    Repo(pattern="Vault[1]/?", sensitivity=RESTRICTED),
    Repo(pattern="open/*", sensitivity=PUBLIC),
)


def a_labeller(untagged: Sensitivity = INTERNAL) -> Labeller:
    return Labeller(Policy(ledger_file="l", untagged=untagged, repos=REPOS))


def test_what_nobody_labelled_is_what_the_policy_calls_untagged() -> None:
    said = a_labeller().label()
    assert (said.label, said.decided.source) == (INTERNAL, Source.UNTAGGED)
    assert a_labeller(RESTRICTED).label().label is RESTRICTED


def test_a_tag_takes_the_place_of_untagged_and_a_floor_does_not() -> None:
    assert a_labeller().label(key=PUBLIC).label is PUBLIC
    assert a_labeller().label(header="public").label is PUBLIC
    assert a_labeller().label(repository="open/x").label is PUBLIC
    assert a_labeller().label(route=PUBLIC).label is INTERNAL
    assert a_labeller().label(session=PUBLIC).label is INTERNAL


@pytest.mark.parametrize(
    ("repository", "label"),
    [
        ("github.com/acme/customer-x", SENSITIVE),
        ("git@github.com:acme/customer-x.git", SENSITIVE),
        ("https://me:secret@github.com/Acme/Customer-X.git/", SENSITIVE),
        ("ssh://git@github.com:22/acme/customer-x", SENSITIVE),
        ("gitlab.com/acme/customer-x", INTERNAL),
        ("acme/docs", INTERNAL),
        ("open/x", PUBLIC),
        ("elsewhere/open/x", INTERNAL),
        ("vault[1]/a", RESTRICTED),
        ("vault1/a", INTERNAL),
        ("nobody/knows", INTERNAL),
    ],
)
def test_a_repository_has_the_highest_label_of_all_patterns_that_match(repository: str, label: Sensitivity) -> None:
    assert a_labeller().label(repository=repository).label is label


def test_a_repository_that_no_list_knows_is_as_if_it_were_untagged() -> None:
    said = a_labeller(SENSITIVE).label(repository="nobody/knows", key=PUBLIC)
    assert said.label is SENSITIVE
    assert said.why() == "sensitive: repository unlisted"
    assert said.repository == "nobody/knows"


def test_the_answer_says_who_decided() -> None:
    said = a_labeller().label(key=PUBLIC, repository="github.com/acme/customer-x", header="internal", route=SENSITIVE)
    assert said.why() == "sensitive: repository github.com/acme/customer-*"
    assert [one.source for one in said.said] == [Source.KEY, Source.REPOSITORY, Source.HEADER, Source.ROUTE]
    assert said.raised([Said(Source.DETECTOR, RESTRICTED, "jwt")]).why() == "restricted: detector jwt"


@pytest.mark.parametrize("header", ["secret", "public, secret", "0", "pub lic"])
def test_a_header_that_says_no_label_is_refused_by_naming_the_labels(header: str) -> None:
    with pytest.raises(Refused) as refused:
        a_labeller().label(header=header)
    assert refused.value.error.status == 400
    assert refused.value.error.message == "x-fleet-sensitivity must be one of public, internal, sensitive, restricted"


def test_a_header_with_several_labels_means_the_highest_and_an_empty_one_nothing() -> None:
    assert a_labeller().label(header=" Public,RESTRICTED").label is RESTRICTED
    assert a_labeller().label(header=" ").decided.source is Source.UNTAGGED
    assert a_labeller().label(header="", repository=" ").decided.source is Source.UNTAGGED


def test_nothing_lowers_a_label() -> None:
    """All combinations: with one source more it is never lower than what that source and the others say."""
    sources = ("key", "header", "route", "session")
    values = (None, *Sensitivity)
    for chosen in itertools.product(values, repeat=len(sources)):
        given_labels = {name: label for name, label in zip(sources, chosen, strict=True) if label is not None}
        said = a_labeller().label(**given_labels)
        least = max((label.rank for label in given_labels.values()), default=INTERNAL.rank)
        assert said.label.rank >= least
        assert said.label.rank == max(one.label.rank for one in said.said)
        for more in Sensitivity:
            assert said.raised([Said(Source.DETECTOR, more)]).label.rank == max(said.label.rank, more.rank)


@given(st.text())
def test_any_text_is_a_repositorys_name_of_bounded_length(text: str) -> None:
    name = repo_name(text)
    assert len(name) <= 512
    assert a_labeller(RESTRICTED).label(repository=text).label in (RESTRICTED, INTERNAL, PUBLIC, SENSITIVE)


def test_the_spellings_of_a_remote_are_one_name() -> None:
    spellings = ["git@github.com:acme/shop.git", "https://github.com/acme/shop/", "ssh://git@github.com/acme/shop.git"]
    assert {repo_name(one) for one in spellings} == {"github.com/acme/shop"}
    assert repo_name("file:///srv/git/shop.git") == "srv/git/shop"
