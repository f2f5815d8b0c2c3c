"""What the simulated launchctl prints has the shape of the recordings, line by line."""

from __future__ import annotations

import plistlib
import re
from pathlib import Path
from typing import Any

import pytest

from fleet.sim.launchd import text
from fleet.sim.launchd.ending import Ending, exit_text
from fleet.sim.launchd.spec import parse_spec
from fleet.sim.launchd.text import JobView
from fleet.vocabulary.launchctl import parse_list, parse_list_label, parse_print, parse_print_disabled

SAMPLES = Path(__file__).parents[1] / "samples" / "launchctl"

KEYS: dict[str, Any] = {
    "Label": "org.iron-link.daemon",
    "ProgramArguments": ["/usr/local/bin/iron-link-daemon"],
    "KeepAlive": True,
    "RunAtLoad": True,
    "StandardOutPath": "/Users/administrator/Library/Application Support/iron-link/daemon.log",
    "StandardErrorPath": "/Users/administrator/Library/Application Support/iron-link/daemon.log",
    "EnvironmentVariables": {
        "SUDO_GID": "20",
        "SUDO_UID": "501",
        "IRON_LINK_CONFIG_DIR": "/Users/administrator/Library/Application Support/iron-link",
    },
}


def view(keys: dict[str, Any] | None = None, /, **changes: Any) -> JobView:
    spec = parse_spec(plistlib.loads(plistlib.dumps({**KEYS, **(keys or {})})), "/Library/LaunchDaemons/x.plist")
    return JobView(**{"domain": "system", "spec": spec, "state": "not running", "serial": 4782, **changes})


def test_a_running_daemon_prints_byte_for_byte_as_recorded() -> None:
    spec = parse_spec(KEYS, "/Library/LaunchDaemons/org.iron-link.daemon.plist")
    running = JobView(domain="system", spec=spec, state="running", serial=4782, pid=10526, runs=1)
    assert text.print_service(running) == (SAMPLES / "print-system-daemon-running.txt").read_text().rstrip("\n") + "\n"


def test_an_idle_agent_prints_line_for_line_as_recorded() -> None:
    recorded = (SAMPLES / "print-gui-not-running-exit0.txt").read_text()
    sample = parse_print(recorded)
    keys = {
        "Label": "ai.openclaw.enhance.monitor",
        "ProgramArguments": list(sample.arguments or ()),
        "WorkingDirectory": "/",
        "KeepAlive": False,
        "RunAtLoad": True,
        "StartInterval": 60,
        "EnvironmentVariables": {},
    }
    ours = text.print_service(view(keys, domain="gui/501", session=100041, serial=33304, runs=2, ending=Ending(code=0)))
    assert _without_values(ours) == _without_values(recorded)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "last exit code = (never exited)"),
        ({"ending": Ending(code=78), "spawn_failed": True}, "last exit code = 78: EX_CONFIG"),
        ({"ending": Ending(signal="SIGKILL")}, "last terminating signal = Killed: 9"),
        ({"ending": Ending(signal="SIGBUS")}, "last terminating signal = Bus error: 10"),
        ({"ending": Ending(reason="OS_REASON_CODESIGNING")}, "last exit reason = OS_REASON_CODESIGNING"),
        ({"pended": "speculative"}, "pended nondemand spawn = speculative"),
        ({"successive_crashes": 98}, "successive crashes = 98"),
        ({"spawn_failed": True, "ending": Ending(code=78)}, "job state = spawn failed"),
    ],
)
def test_the_lines_of_trouble_are_the_recorded_ones(changes: dict[str, Any], line: str) -> None:
    assert f"\t{line}\n" in text.print_service(view(**changes))
    recorded = "".join(path.read_text() for path in SAMPLES.glob("print-*.txt"))
    assert line.partition(" = ")[0] in recorded


def test_an_idle_job_shows_no_pid_but_nested_states() -> None:
    printed = text.print_service(view())
    assert "\tpid = " not in printed
    assert printed.count("\t\tstate = active\n") == 2
    assert (parse_print(printed).state, parse_print(printed).pid) == ("not running", None)


def test_exit_codes_are_named_as_recorded() -> None:
    assert [exit_text(code) for code in (0, 1, 78, 134)] == ["0", "1", "78: EX_CONFIG", "134: Abort trap"]


@pytest.mark.parametrize(
    ("kind", "spawn_type"),
    [(None, "daemon (3)"), ("Interactive", "interactive (4)"), ("Background", "background (5)"), ("Odd", "daemon (3)")],
)
def test_the_process_type_shows_as_spawn_type(kind: str | None, spawn_type: str) -> None:
    printed = text.print_service(view({"ProcessType": kind} if kind else None))
    assert parse_print(printed).spawn_type == spawn_type


def test_the_table_has_dashes_and_negative_signals() -> None:
    rows = [
        view(pid=28176, state="running"),
        view(ending=Ending(code=78)),
        view(pid=81502, state="running", ending=Ending(signal="SIGTERM")),
    ]
    printed = text.list_table(rows)
    recorded = (SAMPLES / "list-table.txt").read_text().splitlines()
    assert printed.splitlines()[0] == recorded[0]
    assert [line.split("\t")[:2] for line in printed.splitlines()[1:]] == [
        line.split("\t")[:2] for line in recorded[1:4]
    ]
    assert [(row.pid, row.status) for row in parse_list(printed)] == [(28176, 0), (None, 78), (81502, -15)]


def test_the_old_dictionary_holds_a_raw_wait_status() -> None:
    printed = text.list_label(view(pid=64367, state="running", ending=Ending(signal="SIGKILL")))
    assert (parse_list_label(printed).last_exit_status, parse_list_label(printed).pid) == (9, 64367)
    assert _names(printed) == _names((SAMPLES / "list-label-running.txt").read_text())
    assert parse_list_label(text.list_label(view(ending=Ending(code=1)))).last_exit_status == 256


def test_disabled_overrides_print_as_recorded() -> None:
    recorded = (SAMPLES / "print-disabled-system-real.txt").read_text()
    assert text.print_disabled(parse_print_disabled(recorded)) == recorded.rstrip("\n") + "\n"


def test_limits_print_as_recorded() -> None:
    recorded = (SAMPLES / "limit.txt").read_text().splitlines()
    assert [line.rstrip() for line in text.LIMITS.splitlines()] == [line.rstrip() for line in recorded]


def test_a_domain_has_the_recorded_head() -> None:
    recorded = (SAMPLES / "print-domain-gui-head.txt").read_text().splitlines()
    ours = text.print_domain("gui/501", [view(domain="gui/501")], session=100020).splitlines()
    assert ours[:3] == recorded[:3]
    assert {line.partition(" = ")[0] for line in ours[3:6]} <= {line.partition(" = ")[0] for line in recorded}


def _without_values(printed: str) -> list[str]:
    return [re.sub(r" (=>?) .*", r" \1", line) for line in printed.rstrip().splitlines()]


def _names(printed: str) -> list[str]:
    return re.findall(r'^\t"(\w+)"', printed, re.MULTILINE)
