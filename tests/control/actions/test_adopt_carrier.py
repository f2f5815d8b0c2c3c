"""Adopt and the carrier: ssh is tried where our own SSH is refused, and written down only when a person agrees."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.control.actions.adopt import Adopter
from fleet.control.actions.adopt_carrier import reach, reason, shown_key
from fleet.control.inventory import find_project, load_inventory
from fleet.control.link.carriers import Carriers
from fleet.control.link.protocol import CONNECT_SECONDS, Link, Session, Target
from fleet.control.supply.cache import Cache
from fleet.errors import AuthError, FleetError, HostKeyError, Unreachable, UsageError
from fleet.sim.simulation import Simulation
from fleet.testing.link import FakeLink, FakeSession


class Choosy:
    """A link whose own SSH is refused; ssh goes on to `inner`."""

    def __init__(self, inner: Link, refusal: FleetError) -> None:
        self.inner = inner
        self.refusal = refusal

    def connect(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> Session:
        if target.carrier == "fabric":
            raise self.refusal
        return self.inner.connect(target, deadline_seconds=deadline_seconds)

    def host_key(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> str:
        if target.carrier == "fabric" and isinstance(self.refusal, UsageError):
            raise self.refusal
        return self.inner.host_key(target, deadline_seconds=deadline_seconds)

    def close(self) -> None:
        self.inner.close()


TARGET = Target(node="mini-1", address="mini-1", host_key="ssh-ed25519 AAAA")


@pytest.mark.parametrize("refusal", [AuthError("refused op"), UsageError("ssh_config cannot be read")])
def test_ssh_is_proposed_where_it_gets_in_and_our_own_does_not(refusal: FleetError) -> None:
    session, asked = FakeSession({}), []
    link = Choosy(FakeLink({"mini-1": session}), refusal)
    found = reach(link, TARGET, propose=lambda node, why: asked.append((node, why)) is None)
    assert (found.session, found.pins) == (session, {"link": "openssh"})
    assert asked == [("mini-1", reason(refusal))]
    assert shown_key(link, TARGET) == "ssh-ed25519 AAAA"


def test_a_no_leaves_the_refusal_with_the_way_out() -> None:
    session = FakeSession({})
    with pytest.raises(AuthError, match="refused op") as caught:
        reach(Choosy(FakeLink({"mini-1": session}), AuthError("refused op")), TARGET, propose=lambda node, why: False)
    assert "link: openssh" in caught.value.hint
    assert session.closed


def test_nothing_is_proposed_where_ssh_is_refused_too() -> None:
    link = Choosy(FakeLink({}), AuthError("refused op"))
    with pytest.raises(AuthError, match="refused op") as caught:
        reach(link, TARGET, propose=lambda node, why: pytest.fail("asked"))
    assert "openssh" not in caught.value.hint


@pytest.mark.parametrize("kind", [HostKeyError, Unreachable])
def test_another_key_and_a_dead_node_are_no_reason_for_ssh(kind: type[FleetError]) -> None:
    link = Choosy(FakeLink({"mini-1": FakeSession({})}), kind("no"))
    with pytest.raises(kind):
        reach(link, TARGET, propose=lambda node, why: pytest.fail("asked"))


def test_a_security_key_is_named_as_the_reason() -> None:
    detail = "tried:\n  agent's sk-ssh-ed25519@openssh.com op: skipped (a security key wants `link: openssh` ...)"
    assert "security key" in reason(AuthError("refused op", detail=detail))


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Path]:
    simulation = Simulation(tmp_path / "sim")
    simulation.up(nodes=1, throttle_scale=0.01, exit_scale=0.1)
    yield tmp_path / "sim/inventory/fleet.yml"
    simulation.down()


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here")
def test_adopt_goes_through_ssh_and_writes_it_into_the_inventory(simulated: Path, tmp_path: Path) -> None:
    project = find_project(str(simulated))
    config = tmp_path / "ssh_config"
    config.touch()
    adopter = Adopter(
        project=project,
        link=Choosy(Carriers(ssh_config=config), UsageError("ssh_config cannot be read")),
        cache=Cache(tmp_path / "cache"),
        accept=lambda stranger: True,
        notify=lambda node, text: None,
        propose=lambda node, why: True,
    )
    (found,) = adopter.adopt([load_inventory(project).node("mac-1")])
    assert found.error is None, found.error.text
    settings = load_inventory(project).node("mac-1").settings
    assert settings.link == "openssh"
    assert settings.host_key == found.host_key
    (again,) = adopter.adopt([load_inventory(project).node("mac-1")])
    assert again.error is None
    assert not again.changed
