"""Doctor against simulated Macs: a fresh one, one that provision made ready, and one with planted trouble."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.control.actions.doctor import Doctor, Report, exit_code
from fleet.control.actions.doctor_findings import BAD, Finding, Severity
from fleet.control.inventory import Node, find_project, load_inventory
from fleet.control.link.fabric_link import FabricLink
from fleet.errors import Unreachable
from fleet.sim.faults import KINDS
from fleet.sim.simulation import Simulation
from fleet.sim.tree import PASSWORD, NodeTree
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.secret import Secret


@dataclass
class Ward:
    """Two Macs: `mac-1` is only adopted, `mac-2` was made ready by provision.yml."""

    folder: Path
    simulation: Simulation
    link: FabricLink

    def fleet(self, *words: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            [sys.executable, "-m", "fleet", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")},
            check=False,
        )
        assert expect in (None, answer.returncode), f"{words}\n{answer.stdout}\n{answer.stderr}"
        assert "Traceback" not in answer.stderr
        return answer

    def tree(self, name: str = "mac-2") -> NodeTree:
        return NodeTree(self.folder / "nodes" / name)

    def node(self, name: str = "mac-2") -> Node:
        return load_inventory(find_project(str(self.folder / "inventory/fleet.yml"))).node(name)

    def doctor(self, password: str | None = None) -> Doctor:
        secret = Secret(password) if password else None
        return Doctor(link=self.link, clock=SystemClock(), base=self.folder, password=secret)

    def look(self, name: str = "mac-2") -> Report:
        (report,) = self.doctor().look([self.node(name)])
        return report

    def bad(self, name: str = "mac-2") -> dict[str, Finding]:
        report = self.look(name)
        assert report.error is None, report.error.text
        return {one.id: one for one in report.findings if one.severity in BAD}

    def launchctl(self, *words: str) -> None:
        """As root, on the provisioned Mac."""
        tree = self.tree()
        subprocess.run([tree.bin / "sudo", "-n", tree.bin / "launchctl", *words], check=True, env={"PATH": os.defpath})


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward") / "sim"
    simulation = Simulation(folder)
    simulation.up(nodes=2, throttle_scale=0.01, exit_scale=0.1)
    made = Ward(folder, simulation, FabricLink())
    try:
        made.fleet("adopt", "--all", "--yes")
        made.fleet("deploy", "provision.yml", "--on", "mac-2", "--yes")
        yield made
    finally:
        made.link.close()
        simulation.down()


@pytest.fixture
def clean(ward: Ward) -> Iterator[Ward]:
    """The provisioned Mac without trouble; whatever a test plants must not stay."""
    yield ward
    ward.simulation.clear("mac-2")
    assert ward.bad() == {}


def test_a_fresh_mac_is_told_what_provision_does(ward: Ward) -> None:
    assert set(ward.bad("mac-1")) == {"sleep", "autorestart"}
    assert all(one.automatic for one in ward.bad("mac-1").values())


def test_after_provision_a_mac_is_clean_and_everything_could_be_read(clean: Ward) -> None:
    report = clean.look()
    assert {one.severity for one in report.findings} == {Severity.OK, Severity.NOTE}
    assert {one.id for one in report.findings if one.severity is Severity.NOTE} == {"remote-login", "developer-tools"}
    assert exit_code([report]) == 0


def test_provisioned_again_a_mac_has_nothing_to_change_and_stays_clean(clean: Ward) -> None:
    clean.fleet("plan", "provision.yml", "--on", "mac-2", "--exit-code", expect=0)
    for _ in range(2):
        assert "1 node, nothing to do" in clean.fleet("deploy", "provision.yml", "--on", "mac-2", "--yes").stderr
        assert clean.bad() == {}


FOUND = {
    "filevault=on": ("filevault", "fdesetup disable"),
    "clock=+90": ("clock", "sntp"),
    "uptime=45": ("uptime", "shutdown -r now"),
    "time-wait=12000": ("time-wait", None),
    "disk=5GB": ("disk", "du -xhd1"),
    "firewall=block": ("firewall", "socketfilterfw --setblockall off"),
    "wired-limit=0": ("wired-limit", "launchctl kickstart"),
}
"""Faults that doctor finds while they last, with the command that it names."""
FOUND_OTHERWISE = {
    "updates": "with FileVault: test_updates_are_a_note_as_long_as_the_mac_comes_back_by_itself",
    "panic": "test_a_panic_of_the_kernel_is_found_after_the_restart",
    "pended": "test_a_start_that_launchd_put_off_is_found_and_the_command_cures_it",
    "sudo": "test_fix_takes_sudos_password_and_says_when_it_is_missing_or_wrong",
    "down": "test_a_node_that_is_down_is_unreachable_and_the_other_is_told_of",
    "noise": "test_noise_of_the_login_shell_is_not_read",
    "os": "of wheels: test_a_startup_file_and_a_wheel_for_a_newer_macos_are_found_in_an_env",
}
NOT_DOCTORS = {
    "thermal", "pressure", "swap", "swap-rate", "loading", "headroom", "decode", "zombie", "crash", "disk-full",
    "slow", "hold", "kickstart-signal", "bootout-code", "disabled-code", "busy-code", "desktop", "reboot", "unlock",
    "cut", "host-key",
}  # fmt: skip
"""What comes and goes is the agent's and the gateways' to tell; the rest is a manner of launchd or of the line."""


def test_every_fault_of_the_simulation_is_doctors_or_somebody_elses() -> None:
    found = {fault.partition("=")[0] for fault in FOUND}
    assert found | set(FOUND_OTHERWISE) | NOT_DOCTORS == set(KINDS)
    assert len(KINDS) == len(found) + len(FOUND_OTHERWISE) + len(NOT_DOCTORS), "each is named once"


def test_looking_changes_nothing_on_the_node(clean: Ward) -> None:
    def everything() -> dict[str, tuple[int, int]]:
        """Without what the simulated machine itself and the running agent write."""
        own = (clean.tree().root / "var", clean.tree().root / "log", clean.tree().path / "sim")
        files = (path for path in clean.tree().path.rglob("*") if not any(path.is_relative_to(one) for one in own))
        return {str(path): ((found := path.lstat()).st_mtime_ns, found.st_ino) for path in files if path.is_file()}

    before = everything()
    clean.look()
    assert everything() == before


@pytest.mark.parametrize(("fault", "check", "words"), [(fault, *FOUND[fault]) for fault in FOUND])
def test_a_fault_of_the_simulation_is_found_with_its_fix_and_goes_with_it(
    clean: Ward, fault: str, check: str, words: str | None
) -> None:
    clean.simulation.fault("mac-2", fault)
    bad = clean.bad()
    assert set(bad) == {check}
    assert words is None or words in (bad[check].command or "")


def test_updates_are_a_note_as_long_as_the_mac_comes_back_by_itself(clean: Ward) -> None:
    clean.simulation.fault("mac-2", "updates")
    assert clean.bad() == {}
    clean.simulation.fault("mac-2", "filevault=on")
    assert set(clean.bad()) == {"filevault", "os-updates"}


def test_a_panic_is_found(clean: Ward) -> None:
    panic = clean.tree().panics / "panic-full-2026-11-20-010203.0002.panic"
    panic.write_text("panic(cpu 4)")
    assert set(clean.bad()) == {"panics"}
    panic.unlink()


def test_a_panic_of_the_kernel_is_found_after_the_restart(clean: Ward) -> None:
    clean.simulation.fault("mac-2", "panic")
    until(lambda: clean.look().error is None)
    until(lambda: set(clean.bad()) == {"panics"})  # and the wired limit, which every restart forgets, is back
    (panic,) = clean.tree().panics.glob("*.panic")
    assert panic.name in (clean.bad()["panics"].command or "")
    panic.unlink()


def test_a_log_that_nobody_bounds_is_found_and_the_command_empties_it(clean: Ward) -> None:
    log = clean.tree().root / "log" / "foreign.log"
    with log.open("wb") as file:
        file.truncate(65_000_000)
    found = clean.bad()
    assert set(found) == {"logs"}
    subprocess.run((found["logs"].command or "false").removeprefix("sudo ").split(), check=True)
    assert log.stat().st_size == 0
    log.unlink()


def test_what_old_deploys_left_behind_goes_when_asked(clean: Ward) -> None:
    left = clean.tree().root / "envs" / ("7" * 64)
    left.mkdir()
    (left / "lib.py").write_bytes(b"x" * 5000)
    would = json.loads(clean.fleet("gc", "mac-2", "--dry-run", "--json").stdout)
    assert [(Path(one["path"]).name, one["size_bytes"]) for one in would[0]["dropped"]] == [(left.name, 5000)]
    assert left.exists()
    assert "mac-2: freed 4.9 KiB in 1 place;" in clean.fleet("gc", "mac-2").stdout
    assert not left.exists()
    assert "nothing to remove" in clean.fleet("gc", "--on", "mac-2").stdout


def test_a_second_plist_of_our_label_is_found_and_the_command_puts_it_aside(clean: Ward) -> None:
    twin = clean.tree().home / "Library/LaunchAgents/org.fleet-macs.agent.plist"
    twin.parent.mkdir(parents=True)
    twin.write_text("<plist/>")
    found = clean.bad()
    assert set(found) == {"twins"}
    subprocess.run(["/bin/sh", "-c", found["twins"].command or "false"], check=True)
    assert not twin.exists()


def test_a_start_that_launchd_put_off_is_found_and_the_command_cures_it(clean: Ward) -> None:
    clean.simulation.fault("mac-2", "pended")
    clean.launchctl("kill", "SIGKILL", "system/org.fleet-macs.agent")
    until(lambda: "pended-spawns" in clean.bad())
    found = clean.bad()
    assert set(found) == {"pended-spawns"}
    words = (found["pended-spawns"].command or "").removeprefix("sudo ").split()
    clean.launchctl(*words[1:])
    until(lambda: clean.bad() == {})


def until(true: Callable[[], bool]) -> None:
    """Wait for it, not for ever."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_foreign_owner_of_our_port_is_found_by_its_pid(clean: Ward) -> None:
    with socket.create_server(("127.0.0.1", clean.node().settings.gateway_port)):
        found = clean.bad()
        assert set(found) == {"ports"}
        assert f"pid {os.getpid()}" in found["ports"].seen


def test_a_startup_file_and_a_wheel_for_a_newer_macos_are_found_in_an_env(clean: Ward) -> None:
    env = clean.tree().root / "envs" / "planted"
    wheel = env / "mlx-0.40.0.dist-info" / "WHEEL"
    wheel.parent.mkdir(parents=True)
    wheel.write_text("Wheel-Version: 1.0\nTag: cp312-cp312-macosx_27_0_arm64\n")
    (env / "evil.pth").write_text("# harmless\nimport os; os.getcwd()\n")
    found = clean.bad()
    assert set(found) == {"pth-imports", "os-wheels"}
    assert "mlx-0.40.0 wants macOS 27.0" in found["os-wheels"].seen
    for path in (wheel, wheel.parent, env / "evil.pth", env):
        path.rmdir() if path.is_dir() else path.unlink()


def plant_what_fix_mends(ward: Ward) -> None:
    """Sleep, Low Power Mode, a disabled agent that is gone, a lost wired limit."""
    tree = ward.tree()
    ward.launchctl("disable", "system/org.fleet-macs.agent")
    ward.launchctl("bootout", "system/org.fleet-macs.agent")
    for file, before, after in (
        (tree.readings / "pmset.txt", "sleep                0", "sleep                1"),
        (tree.readings / "pmset.txt", "lowpowermode         0", "lowpowermode         1"),
        (tree.readings / "sysctl.txt", "iogpu.wired_limit_mb: 18432", "iogpu.wired_limit_mb: 0"),
    ):
        text = file.read_text()
        assert f" {before}\n" in f" {text}" or before in text
        file.write_text(
            text.replace(f"\n {before}\n", f"\n {after}\n") if "pmset" in file.name else text.replace(before, after)
        )


def test_fix_mends_what_provision_would_and_looks_again(clean: Ward) -> None:
    plant_what_fix_mends(clean)
    wanted = {"sleep", "low-power-mode", "disabled-labels", "wired-limit"}
    assert set(clean.bad()) == wanted
    refused = clean.fleet("doctor", "mac-2", "--fix", expect=2)
    assert "--fix would run:" in refused.stderr
    assert "--yes" in refused.stderr
    assert set(clean.bad()) == wanted, "nobody said yes"
    answer = json.loads(clean.fleet("doctor", "mac-2", "--fix", "--yes", "--json").stdout)
    assert [one["status"] for one in answer["mended"]] == [0, 0, 0, 0]
    assert {one["severity"] for one in answer["reports"][0]["findings"]} == {"ok", "note"}


def test_fix_takes_sudos_password_and_says_when_it_is_missing_or_wrong(clean: Ward) -> None:
    plant_what_fix_mends(clean)
    clean.simulation.fault("mac-2", "sudo=password")
    for drop_in in clean.tree().sudoers.iterdir():
        assert "NOPASSWD: ALL" not in drop_in.read_text()
    nodes, report = [clean.node()], clean.look()
    for given, said in ((None, "sudo asks for a password"), ("wrong", "sudo refused the password")):
        ((one,),) = clean.doctor(given).mend(nodes, [report])
        assert one.error is not None
        assert said in one.error.text
    ((*mended,),) = clean.doctor(PASSWORD).mend(nodes, [report])
    assert [(one.status, one.error) for one in mended] == [(0, None)] * 4
    assert clean.bad() == {}


def test_a_node_that_is_down_is_unreachable_and_the_other_is_told_of(clean: Ward) -> None:
    clean.simulation.fault("mac-2", "down")
    try:
        reports = list(clean.doctor().look([clean.node("mac-1"), clean.node("mac-2")]))
        gone = next(one for one in reports if one.node == "mac-2")
        assert isinstance(gone.error, Unreachable)
        assert (exit_code(reports), exit_code([gone])) == (3, 4)
    finally:
        clean.simulation.clear("mac-2")


def test_noise_of_the_login_shell_is_not_read(clean: Ward) -> None:
    clean.simulation.fault("mac-2", "noise=== filevault 0")
    assert clean.bad() == {}
