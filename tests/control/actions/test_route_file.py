"""A ticket changes the file of the routes exactly as it showed, once, or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fleet.control.actions.ourroutes import ours_of, rankings_upstream
from fleet.control.actions.routefile import Applied, MovedOn, RouteFile
from fleet.control.inventory import load_inventory
from fleet.control.inventory.project import Project
from fleet.errors import FleetError, UsageError
from fleet.practice.rankings.finding import Finding, Kind, PricePair, Subject
from fleet.practice.rankings.ours import OurModel, OurRoute
from fleet.practice.tickets.change import Do, RouteChange
from fleet.practice.tickets.ticket import Ticket, tickets_for
from fleet.vocabulary.names import Track

TEXT = """\
all:
  hosts: {front-1: {address: 10.0.0.1}, mini-1: {address: 10.0.0.2}}
  vars:
    # who answers whom
    routes:
      chat: [qwen, kimi, flash]            # own first
      token-track: {models: [kimi, flash], gray: unproven}
      unproven: {models: [owl], track: gray, share: 0.10, folds_to: chat}
    upstreams:
      openrouter:
        key: env:OPENROUTER_API_KEY
        models:
          flash: deepseek/deepseek-v4-flash  # cheap
          kimi: {asked: moonshotai/kimi-k2.6, price: {prompt_per_million: 0.6, completion_per_million: 2.5}}
          owl: openrouter/owl-alpha
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    path = tmp_path / "inventory" / "fleet.yml"
    path.parent.mkdir()
    path.write_text(TEXT)
    path.chmod(0o640)
    return Project(tmp_path, path)


def ticket(project: Project, kind: Kind, key: str, served: str = "", **more: object) -> Ticket:
    ids = {"flash": "deepseek/deepseek-v4-flash", "kimi": "moonshotai/kimi-k2.6", "owl": "openrouter/owl-alpha"}
    subject = Subject(key=key, title=key, id=ids.get(served, f"v/{key}"), served=(served,) if served else ())
    found = Finding(kind=kind, week="2026-W21", subject=subject, **more)  # type: ignore[arg-type]
    return tickets_for([found], ours=ours_of(load_inventory(project)))[0]


def lines(diff: str) -> list[str]:
    return [line for line in diff.splitlines() if line[:1] in "+-" and not line.startswith(("+++", "---"))]


def test_the_inventory_says_what_is_ours(project: Project) -> None:
    ours = ours_of(load_inventory(project))
    assert ours.routes == (
        OurRoute(name="chat", track=Track.TOKEN, models=("qwen", "kimi", "flash")),
        OurRoute(name="token-track", track=Track.TOKEN, models=("kimi", "flash"), gray="unproven"),
        OurRoute(name="unproven", track=Track.GRAY, models=("owl",)),
    )
    assert ours.models[1] == OurModel(
        served="kimi", upstream="openrouter", asked="moonshotai/kimi-k2.6", prompt="0.0000006", completion="0.0000025"
    )
    assert rankings_upstream(load_inventory(project), None)[0] == "openrouter"
    with pytest.raises(UsageError, match="no upstream 'other'"):
        rankings_upstream(load_inventory(project), "other")


def test_a_rise_moves_one_name_in_each_route(project: Project) -> None:
    found = ticket(project, Kind.RISE, "deepseek-v4-flash", "flash")
    assert lines(RouteFile(project=project).propose(found.changes).diff) == [
        "-      chat: [qwen, kimi, flash]            # own first",
        "-      token-track: {models: [kimi, flash], gray: unproven}",
        "+      chat: [qwen, flash, kimi]            # own first",
        "+      token-track: {models: [flash, kimi], gray: unproven}",
    ]


def test_a_vanished_gray_model_takes_its_pool_along(project: Project) -> None:
    found = ticket(project, Kind.VANISHED, "owl-alpha", "owl")
    assert lines(RouteFile(project=project).propose(found.changes).diff) == [
        "-      token-track: {models: [kimi, flash], gray: unproven}",
        "-      unproven: {models: [owl], track: gray, share: 0.10, folds_to: chat}",
        "+      token-track: {models: [kimi, flash]}",
        "-          owl: openrouter/owl-alpha",
    ]


def test_an_entrant_gets_one_more_line(project: Project) -> None:
    found = ticket(project, Kind.ENTRANT, "step-3.5-flash")
    assert lines(RouteFile(project=project).propose(found.changes).diff) == [
        "+          step-3.5-flash: v/step-3.5-flash"
    ]


def test_a_new_price_is_written_where_the_old_one_was(project: Project) -> None:
    pair = PricePair(prompt="0.00000055", completion="0.0000025")
    found = ticket(project, Kind.PRICE, "kimi-k2.6", "kimi", price=pair)
    assert lines(RouteFile(project=project).propose(found.changes).diff)[1].endswith(
        "price: {prompt_per_million: 0.55, completion_per_million: 2.5}}"
    )


def test_what_was_shown_is_written_once(project: Project) -> None:
    file, found = RouteFile(project=project), ticket(project, Kind.RISE, "deepseek-v4-flash", "flash")
    proposal = file.propose(found.changes)
    assert proposal.file == "inventory/fleet.yml"
    assert project.inventory.read_text() == TEXT, "a proposal touches nothing"
    assert file.apply(proposal, found.changes) is Applied.DONE
    text = project.inventory.read_text()
    assert text == TEXT.replace("kimi, flash", "flash, kimi")
    assert file.apply(proposal, found.changes) is Applied.ALREADY
    assert project.inventory.read_text() == text
    assert stat.S_IMODE(project.inventory.stat().st_mode) == 0o640
    assert [path.name for path in project.inventory.parent.iterdir()] == ["fleet.yml"]


def test_a_file_that_has_moved_on_is_left_alone(project: Project) -> None:
    file, found = RouteFile(project=project), ticket(project, Kind.RISE, "deepseek-v4-flash", "flash")
    proposal = file.propose(found.changes)
    moved = TEXT + "    rack: 7\n"
    project.inventory.write_text(moved)
    with pytest.raises(MovedOn, match=r"fleet\.yml is not what the proposal was made for"):
        file.apply(proposal, found.changes)
    assert project.inventory.read_text() == moved


def test_changes_that_are_not_those_that_were_shown_are_refused(project: Project) -> None:
    file, found = RouteFile(project=project), ticket(project, Kind.RISE, "deepseek-v4-flash", "flash")
    proposal = file.propose(found.changes)
    with pytest.raises(MovedOn):
        file.apply(proposal, found.changes[:1])
    assert project.inventory.read_text() == TEXT


def test_a_write_that_fails_leaves_the_file_as_it_was(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    file, found = RouteFile(project=project), ticket(project, Kind.RISE, "deepseek-v4-flash", "flash")
    proposal = file.propose(found.changes)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", full)
        with pytest.raises(FleetError, match="No space left"):
            file.apply(proposal, found.changes)
    assert project.inventory.read_text() == TEXT
    assert [path.name for path in project.inventory.parent.iterdir()] == ["fleet.yml"]
    assert file.apply(proposal, found.changes) is Applied.DONE


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (RouteChange(do=Do.DROP_ROUTE, route="chat"), "the inventory would not be valid"),
        (RouteChange(do=Do.DROP_ROUTE, route="nowhere"), "has no routes.nowhere to change"),
        (RouteChange(do=Do.PRICE, upstream="openrouter", served="flash", prompt_per_million="1",
                     completion_per_million="2"), "is not there; edit it yourself"),
        (RouteChange(do=Do.ADD_MODEL, upstream="openrouter", served="flash", asked="x/y"), "is in it already"),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_made_says_why(project: Project, change: RouteChange, why: str) -> None:
    with pytest.raises(FleetError, match=why):
        RouteFile(project=project).propose((change,))


def test_the_default_route_is_not_taken_away(project: Project) -> None:
    project.inventory.write_text(TEXT + "    default_route: unproven\n")
    found = ticket(project, Kind.VANISHED, "owl-alpha", "owl")
    with pytest.raises(FleetError, match=r"fleet\.yml:\d+:\d+: default_route is unproven; name another one first"):
        RouteFile(project=project).propose(found.changes)
