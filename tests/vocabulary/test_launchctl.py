"""Every recording of launchctl is read for what it says; anything else is unknown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.vocabulary.launchctl import (
    ListedLabel,
    ListedService,
    PrintedService,
    exit_meaning,
    parse_list,
    parse_list_label,
    parse_print,
    parse_print_disabled,
)

SAMPLES = Path(__file__).resolve().parents[1] / "samples" / "launchctl"


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.txt").read_text()


def snippet(number: int) -> PrintedService:
    """One excerpt of print-snippets: published without the rest, some without their indentation."""
    text = sample("print-snippets").split(f"## S{number} ")[1].split("\n", 1)[1].split("\n## ")[0]
    lines = [line if line.endswith("{") else "\t" + line.strip() for line in text.splitlines()]
    return parse_print("\n".join(lines))


def test_a_running_daemon_is_read_whole() -> None:
    assert parse_print(sample("print-system-daemon-running")) == PrintedService(
        target="system/org.iron-link.daemon",
        path="/Library/LaunchDaemons/org.iron-link.daemon.plist",
        state="running",
        program="/usr/local/bin/iron-link-daemon",
        arguments=("/usr/local/bin/iron-link-daemon",),
        pid=10526,
        runs=1,
        last_exit="(never exited)",
        exit_timeout_seconds=5,
        minimum_runtime_seconds=10,
        spawn_type="daemon (3)",
        immediate_reason="speculative",
        properties=frozenset({"keepalive", "runatload", "inferred program"}),
    )


def test_a_nested_pid_and_a_nested_state_are_not_the_jobs_own() -> None:
    service = parse_print(sample("print-gui-running-keepalive-interactive"))
    assert (service.state, service.pid, service.runs, service.successive_crashes) == ("running", 36019, 2, 0)
    assert service.arguments == ("/opt/acme/.wsp/bin/wsp", "up", "--state", "/opt/acme/.wsp/state.json")
    scheduled = parse_print(sample("print-system-spawn-scheduled"))
    assert (scheduled.state, scheduled.pid, scheduled.runs) == ("spawn scheduled", None, 199773)
    assert (scheduled.exit_code, scheduled.arguments) == (1, None)


def test_a_job_that_could_not_be_spawned_names_its_reason() -> None:
    service = parse_print(sample("print-gui-spawn-failed-ex-config"))
    assert (service.state, service.job_state, service.runs) == ("spawn scheduled", "spawn failed", 22138)
    assert (service.last_exit, service.exit_code) == ("78: EX_CONFIG", 78)
    assert "program missing or not executable" in exit_meaning(service)


def test_idle_and_timed_jobs_are_read() -> None:
    idle = parse_print(sample("print-gui-not-running-exit0"))
    assert (idle.state, idle.running, idle.pid, idle.exit_code) == ("not running", False, None, 0)
    timed = parse_print(sample("print-gui-running-interval"))
    assert (timed.running, timed.pid, timed.last_exit, timed.exit_signal) == (True, 16090, "Terminated: 15", 15)


@pytest.mark.parametrize(
    ("number", "field", "value"),
    [
        (1, "last_exit", "(never exited)"),
        (2, "pended", "speculative"),
        (3, "pended", "semaphore"),
        (4, "pended", "inefficient"),
        (5, "pended", "interval"),
        (6, "exit_signal", 9),
        (7, "successive_crashes", 98),
        (8, "last_exit", "OS_REASON_DYLD"),
        (9, "last_exit", "OS_REASON_CODESIGNING"),
        (10, "job_state", "spawn failed"),
        (11, "exit_code", 78),
        (12, "exit_code", 134),
        (13, "state", "xpcproxy"),
        (14, "last_exit", "JETSAM_REASON_MEMORY_IDLE_EXIT"),
    ],
)
def test_an_excerpt_says_what_its_author_saw(number: int, field: str, value: object) -> None:
    assert getattr(snippet(number), field) == value


def test_how_a_job_ended_is_explained() -> None:
    assert "code signature" in exit_meaning(snippet(9))
    assert "library" in exit_meaning(snippet(8))
    assert "memory" in exit_meaning(snippet(14))
    assert exit_meaning(snippet(6)) == "Killed: 9"
    assert exit_meaning(snippet(1)) == ""


def test_a_domain_or_an_error_is_not_a_service() -> None:
    domain = parse_print(sample("print-domain-gui-head"))
    assert (domain.target, domain.state, domain.pid, domain.runs) == ("gui/501", None, None, None)
    error = parse_print('Bad request.\nCould not find service "x" in domain for system\n')
    assert error == PrintedService()


def test_the_table_has_pids_statuses_and_signals() -> None:
    assert parse_list(sample("list-table")) == (
        ListedService(label="io.github.river3015.voice-agent-discord", pid=28176, status=0),
        ListedService(label="io.github.river3015.receipt-book", pid=None, status=78),
        ListedService(label="io.github.river3015.voice-input", pid=81502, status=-15),
        ListedService(label="com.openssh.ssh-agent", pid=7519, status=0),
    )


def test_the_old_dictionary_of_one_label_is_read() -> None:
    assert parse_list_label(sample("list-label-killed9")) == ListedLabel(
        label="com.zzrouter.node", pid=64367, program="/usr/local/bin/zzrouter-node", on_demand=False,
        last_exit_status=9,
    )  # fmt: skip
    assert parse_list_label(sample("list-label-idle")).pid is None
    assert parse_list_label(sample("list-label-running")).pid == 85615


def test_disabled_services_are_read_in_both_spellings() -> None:
    disabled = parse_print_disabled(sample("print-disabled-system-real"))
    assert len(disabled) == 42
    assert (disabled["com.apple.smbd"], disabled["com.microsoft.fresno"]) == (True, False)
    assert parse_print_disabled('\n\tdisabled services = {\n\t\t"a" => true\n\t\t"b" => false\n\t}\n') == {
        "a": True,
        "b": False,
    }


def test_every_recording_is_claimed_by_a_test() -> None:
    """limit.txt, log-lines.txt and errors.yaml are for people and for the simulation: nothing parses them."""
    claimed = set(re.findall(r'sample\("([a-z0-9-]+)"\)', Path(__file__).read_text()))
    assert {path.stem for path in SAMPLES.glob("*.txt")} - claimed == {"limit", "log-lines"}


@pytest.mark.parametrize("parse", [parse_print, parse_list, parse_list_label, parse_print_disabled])
@given(text=st.text() | st.text(alphabet='\t\n {}=>"-;0123456789abcpidstate'))
def test_any_text_is_read_without_an_error(parse, text: str) -> None:
    parse(text)


@given(cut=st.integers(min_value=0, max_value=2000))
def test_a_cut_recording_never_invents_a_value(cut: int) -> None:
    """Only the last, half line may be wrong, and a half number is not believed to be another state or exit."""
    text = sample("print-system-daemon-running")
    whole, part = parse_print(text), parse_print(text[:cut].rsplit("\n", 1)[0])
    for field in ("state", "pid", "runs", "last_exit", "exit_timeout_seconds", "arguments", "path", "program"):
        assert getattr(part, field) in (None, getattr(whole, field))
