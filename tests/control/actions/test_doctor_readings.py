"""What doctor sends and how it reads the answer: recorded outputs, and total."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.doctor_probe import Readings, StartupLine, WheelNeed, doctor_command, parse_readings
from fleet.control.actions.probing import script_text
from fleet.control.inventory import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.vocabulary.macos.firewall import parse_app_blocked, parse_block_all, parse_firewall
from fleet.vocabulary.names import NodeName

SAMPLES = Path(__file__).parents[2] / "samples"


def block(name: str, text: str, status: int = 0) -> str:
    return f"== {name} {status}\n" + "".join(f"|{line}\n" for line in text.splitlines())


def sample(name: str) -> str:
    return (SAMPLES / name).read_text()


ANSWER = "Last login: noise\nFLEET-DOCTOR/1\n" + "".join((
    block("clock", "1763800000"),
    block("user", "ops"),
    block("sw_vers", "ProductName:\t\tmacOS\nProductVersion:\t\t26.5.1\nBuildVersion:\t\t25F80"),
    block("sysctl", "hw.memsize: 68719476736\nkern.boottime: { sec = 1763700000, usec = 5 } Fri Nov 21\n"
          "iogpu.wired_limit_mb: 0"),
    block("filevault", "FileVault is Off."),
    block("power", sample("power/pmset-g-custom-macstudio.txt")),
    block("xcode", "xcode-select: error: unable to get active developer directory", 2),
    block("updates", "1"),
    block("panics", "/Library/Logs/DiagnosticReports/panic-full-2026-11-20-010203.0002.panic"),
    block("disk.root", "Filesystem 1024-blocks Used Available Capacity  Mounted on\n"
          "/dev/disk3s5   971350180 500000000 471350180    52%    /System/Volumes/Data"),
    block("disk.data", "Filesystem 1024-blocks Used Available Capacity  Mounted on\n"
          "/dev/disk3s5   971350180 500000000 471350180    52%    /System/Volumes/Data"),
    block("connections", "Active Internet connections (including servers)\n"
          "tcp4       0      0  127.0.0.1.8791         *.*                    LISTEN\n"
          "tcp46      0      0  *.8790                 *.*                    LISTEN\nTIME_WAIT 31"),
    block("listeners", sample("system/lsof-tcp-listen-real.txt")),
    block("process.77", "/opt/fleet/python/abc/bin/python3 -m fleet.node.agent"),
    block("disabled", sample("launchctl/print-disabled-system-real.txt")),
    block("job.org.fleet-macs.agent", sample("launchctl/print-system-daemon-running.txt")),
    block("job.org.fleet-macs.gateway", "Could not find service in domain for system", 113),
    block("job.org.fleet-macs.odd", "launchd is busy", 1),
    block("plists", "/Users/ops/Library/LaunchAgents/ai.openclaw.gateway.plist"),
    block("external", "/Volumes/Models/qwen"),
    block("firewall", sample("system/socketfilterfw-getglobalstate-on-real.txt")),
    block("firewall.all", sample("system/socketfilterfw-getblockall-off-real.txt")),
    block("startup", "/opt/fleet/envs/a/b.pth:import os; print(1)"),
    block("wheels", "/opt/fleet/envs/a/mlx-0.32.0.dist-info/WHEEL:Tag: cp312-cp312-macosx_26_0_arm64\n"
          "/opt/fleet/envs/a/x-1.dist-info/WHEEL:Tag: cp312-cp312-macosx_14_0_arm64\n"
          "/opt/fleet/envs/a/x-1.dist-info/WHEEL:Tag: cp312-cp312-macosx_11_0_universal2"),
    block("logs", "/opt/fleet/log/sidecar.chat.log"),
    block("tailscale", "app"),
    block("ssh_group", "<dscl_cmd> DS Error: -14136 (eDSRecordNotFound)", 56),
    "== end 0\n",
))  # fmt: skip


def a_node(**settings: object) -> Node:
    return Node(
        name=NodeName("mini-1"),
        groups=(),
        variables={},
        settings=msgspec.structs.replace(NodeSettings(owner="ops"), **settings),
        place="fleet.yml:1:1",
    )


def test_a_whole_answer_is_read_field_by_field() -> None:
    seen = parse_readings(ANSWER, root="/opt/fleet")
    assert (seen.clock_seconds, seen.user, seen.os_version) == (1763800000, "ops", "26.5.1")
    assert (seen.boot_seconds, seen.memory_bytes, seen.wired_limit_mb) == (1763700000.000005, 64 * 1024**3, 0)
    assert (seen.filevault, seen.developer_tools, seen.installs_updates) == (False, False, True)
    assert seen.power is not None
    assert seen.power["sleep"] == "0"
    assert len(seen.panics or ()) == 1
    assert [(disk.mount, disk.available_bytes) for disk in seen.disks] == [("/System/Volumes/Data", 471350180 * 1024)]
    assert (seen.time_wait, seen.ports_taken) == (31, frozenset({8790, 8791}))
    assert seen.ours == frozenset({77})
    assert seen.disabled is not None
    assert seen.disabled["com.apple.ftpd"] is True
    assert [(job.label, job.loaded) for job in seen.jobs] == [
        ("org.fleet-macs.agent", True),
        ("org.fleet-macs.gateway", False),
        ("org.fleet-macs.odd", None),
    ]
    assert seen.plists == ("/Users/ops/Library/LaunchAgents/ai.openclaw.gateway.plist",)
    assert seen.external == ("/Volumes/Models/qwen",)
    assert (seen.firewall, seen.firewall_blocks_all, seen.firewall_blocks_gateway) == (True, False, None)
    assert seen.startup == (StartupLine("/opt/fleet/envs/a/b.pth", "import os; print(1)"),)
    assert seen.wheels == (WheelNeed("mlx-0.32.0", 26, 0), WheelNeed("x-1", 11, 0))
    assert seen.logs == ("/opt/fleet/log/sidecar.chat.log",)
    assert (seen.tailscale, seen.ssh_everybody) == (frozenset({"app"}), True)
    assert seen.complete
    assert seen.why_silent("job.org.fleet-macs.odd") == "launchd is busy"


@given(at=st.integers(0, len(ANSWER)))
def test_an_answer_that_was_cut_leaves_things_unknown_and_never_zero(at: int) -> None:
    whole, cut = parse_readings(ANSWER, root="/opt/fleet"), parse_readings(ANSWER[:at], root="/opt/fleet")
    assert cut.time_wait in (None, whole.time_wait, 3)  # a count may lose its last digit with the end of the text
    assert cut.filevault in (None, whole.filevault)
    assert cut.firewall in (None, whole.firewall)
    assert cut.installs_updates in (None, whole.installs_updates)
    assert cut.complete == ("== end" in ANSWER[:at])


@given(text=st.text())
def test_any_text_is_read_without_a_crash(text: str) -> None:
    assert parse_readings(text, root="/opt/fleet") == Readings()
    parse_readings(f"FLEET-DOCTOR/1\n{text}", root="/opt/fleet")
    for parse in (parse_firewall, parse_block_all, parse_app_blocked):
        assert parse(text) in (True, False, None)


def test_a_folder_that_may_not_be_read_is_unknown_not_empty() -> None:
    answer = "FLEET-DOCTOR/1\n" + block("startup", "find: /opt/fleet/envs: Permission denied") + block(
        "panics", "find: /Library/Logs/DiagnosticReports: Permission denied", 1
    )  # fmt: skip
    seen = parse_readings(answer, root="/opt/fleet")
    assert (seen.startup, seen.panics) == (None, None)
    assert "Permission denied" in seen.why_silent("panics")


def test_nothing_that_a_node_says_can_steer_the_readers_terminal() -> None:
    answer = "FLEET-DOCTOR/1\n" + block("startup", "/opt/fleet/envs/a\x1b[2J/b.pth:import x\x1b]0;gone\x07 \u202e")
    (line,) = parse_readings(answer, root="/opt/fleet").startup or ()
    assert (line.path, line.line) == ("/opt/fleet/envs/a?[2J/b.pth", "import x?]0;gone? ?")


def test_netstat_that_failed_counts_nothing() -> None:
    answer = "FLEET-DOCTOR/1\n" + block("connections", "netstat: sysctl: Operation not permitted\nTIME_WAIT 0")
    assert (
        parse_readings(answer, root="/opt/fleet").time_wait,
        parse_readings(answer, root="/opt/fleet").ports_taken,
    ) == (None, None)


@pytest.mark.parametrize("shell", ["/bin/sh", "bash"])
def test_a_command_that_hangs_is_ended_with_everything_below_it_and_the_rest_is_read(shell: str) -> None:
    """A folder that macOS wants a person's yes for hangs without end (FACTS section 2.3)."""
    seconds = f"987654.{os.getpid()}"  # no other run of this test on this machine sleeps as long
    script = script_text(("blocks.sh",), {"LIMIT": "1", "SECONDS_OF_IT": seconds}) + (
        "hang() { sh -c 'sleep $1; :' sh \"$SECONDS_OF_IT\" | cat; }\nrun hanging hang\nrun well echo yes\n"
    )
    answer = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert answer.stdout.startswith("== hanging 137\n")
    assert answer.stdout.endswith("== well 0\n|yes\n")
    assert _gone(f"sleep {seconds}")
    assert parse_readings("FLEET-DOCTOR/1\n== panics 137\n", root="/x").why_silent("panics") == "it took too long"


def test_a_command_that_goes_on_starting_others_while_it_is_ended_leaves_none() -> None:
    seconds = f"987653.{os.getpid()}"
    script = script_text(("blocks.sh",), {"LIMIT": "0.2", "SECONDS_OF_IT": seconds}) + (
        'ps() { command ps "$@"; sleep 0.2; }\n'  # time enough to start another after the list
        'busy() { while :; do sleep "$SECONDS_OF_IT" & sleep 0.1; done; }\nrun busy busy\n'
    )
    answer = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert answer.stdout.startswith("== busy 137\n")
    assert _gone(f"sleep {seconds}")


def _gone(args: str) -> bool:
    """Whether no process of these words is there, or soon none: a killed one stays in the list until it has run."""
    for _ in range(200):
        listed = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
        if args not in listed.splitlines():
            return True
        time.sleep(0.05)
    return False


def test_the_script_runs_to_its_end_on_a_machine_that_has_nothing_of_it(tmp_path: Path) -> None:
    """In sh alone; commands that are not there leave unknowns, and nothing is created."""
    missing = {name: str(tmp_path / "nothing" / name) for name in (
        "sw_vers", "sysctl", "fdesetup", "pmset", "xcode-select", "launchctl", "lsof", "netstat", "socketfilterfw",
        "defaults", "dscl",
    )}  # fmt: skip
    node = a_node(
        root=str(tmp_path / "opt"), home=str(tmp_path), daemons_dir=str(tmp_path / "L/LaunchDaemons"), commands=missing
    )
    before = sorted(tmp_path.rglob("*"))
    answer = subprocess.run(
        ["/bin/sh", "-c", doctor_command(node)],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "PATH": os.defpath},
    )
    seen = parse_readings(answer.stdout, root=str(tmp_path / "opt"))
    assert seen.complete, answer.stderr
    assert seen.clock_seconds is not None
    assert (seen.filevault, seen.power, seen.firewall, seen.time_wait, seen.disabled) == (None, None, None, None, None)
    assert "not found" in seen.why_silent("pmset") or "not found" in seen.why_silent("power")
    assert sorted(tmp_path.rglob("*")) == before
