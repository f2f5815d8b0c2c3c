"""Restarting a machine for a laptop: refused where nobody could come back, told before it is done, proved after."""

from __future__ import annotations

import plistlib
from dataclasses import replace
from pathlib import Path

import pytest
from sync_kit import Node

from fleet.node.sync.machine import Machine, Ran
from fleet.node.sync.problem import GateFailed, Problem
from fleet.node.sync.reboot import prove, reboot
from fleet.vocabulary.contracts.codec import canonical
from fleet.vocabulary.contracts.desired import PortGate
from fleet.vocabulary.contracts.questions import Reboot, Rebooting

WORD = "the password of an account"


class Asked:
    """A node, what it says of FileVault, and what it was made to do."""

    def __init__(self, place: Path, vault: str) -> None:
        self.node = Node(place)
        self.said: list[Rebooting] = []
        self.restarts: list[tuple[str, ...]] = []
        mac = self.node.mac
        mac.programs["/usr/bin/fdesetup"] = lambda words: self._fdesetup(words, vault)
        mac.programs["/sbin/shutdown"] = self._restarted

    def reboot(self, *, password: str | None = None, machine: Machine | None = None) -> None:
        wish = Reboot(operator="ann", password=password)
        reboot(machine or self.node.machine, wish, run_id="run-1", told=self.said.append)

    def _fdesetup(self, words: tuple[str, ...], vault: str) -> Ran:
        return Ran(code=0, out=vault) if words[1] == "status" else self._restarted(words)

    def _restarted(self, words: tuple[str, ...]) -> Ran:
        assert self.said, "it was not told before"
        self.restarts.append(words)
        return Ran(code=0)


def test_a_machine_is_told_to_restart_and_says_so_before(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "FileVault is Off.\n")
    asked.reboot()
    assert asked.restarts == [("/sbin/shutdown", "-r", "now")]
    assert asked.said == [Rebooting(boot_id=asked.node.mac.sysctl["kern.bootsessionuuid"])]


@pytest.mark.parametrize(("vault", "words"), [("FileVault is On.\n", "is on"), ("what?", "unknown state")])
def test_with_filevault_it_is_refused_since_nobody_would_unlock_it(tmp_path: Path, vault: str, words: str) -> None:
    asked = Asked(tmp_path, vault)
    with pytest.raises(Problem, match=words) as refused:
        asked.reboot()
    assert refused.value.code == "filevault"
    assert "--authrestart" in refused.value.hint
    assert not asked.restarts
    assert not asked.said


def test_the_password_goes_to_fdesetups_input_and_nowhere_else(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "FileVault is On.\n")
    asked.reboot(password=WORD)
    assert asked.restarts == [("/usr/bin/fdesetup", "authrestart", "-inputplist")]
    assert asked.node.mac.fed is not None
    assert plistlib.loads(asked.node.mac.fed) == {"Password": WORD}
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert WORD.encode() not in kept
    assert WORD not in repr(Reboot(password=WORD))
    assert WORD not in repr(asked.node.mac.typed)


def test_a_rehearsal_never_restarts_the_machine_that_it_runs_on(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "FileVault is Off.\n")
    layout = replace(asked.node.layout, commands={"fdesetup": "/usr/bin/fdesetup"})
    with pytest.raises(Problem, match="not the one that restarts it"):
        asked.reboot(machine=replace(asked.node.machine, layout=layout))
    assert not asked.restarts


def test_a_machine_that_refuses_to_restart_says_why(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "FileVault is Off.\n")
    asked.node.mac.programs["/sbin/shutdown"] = lambda _: Ran(code=1, err="shutdown: NOT super-user")
    with pytest.raises(Problem, match="refuses to restart") as refused:
        asked.reboot()
    assert "NOT super-user" in refused.value.detail


def test_what_is_proved_is_every_daemon_and_every_gate_of_the_live_release(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert prove(node.machine).passed == ()
    release = node.release().daemon("sidecar.chat", "one", ports=(8800,)).daemon("gateway", "one")
    release.gates.append(PortGate(label=node.layout.label("sidecar.chat"), port=8800))
    assert node.deploy(release) == "committed"
    proved = prove(node.machine)
    assert proved.state_id == release.state.state_id
    assert set(proved.passed) == {
        "launchd:org.fleet-macs.sidecar.chat", "launchd:org.fleet-macs.gateway", "port:8800"
    }  # fmt: skip
    del node.mac.jobs["org.fleet-macs.gateway"]
    with pytest.raises(GateFailed):
        prove(node.machine)


def test_a_wish_with_a_password_reads_back_as_it_was_written() -> None:
    assert b"password" not in canonical(Reboot(operator="ann"))
