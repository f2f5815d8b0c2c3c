"""`fleet doctor`: what it prints of reports, and the words it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from fleet.cli.doctorview import blocks, plain_lines, reports_json
from fleet.cli.main import main
from fleet.control.actions.doctor import Report, exit_code, worst_first
from fleet.control.actions.doctor_findings import Finding, Severity
from fleet.errors import NotAdopted, Unreachable
from fleet.vocabulary.names import NodeName

FILE = "/Library/Preferences/com.apple.SoftwareUpdate"
LONG = f"sudo /usr/bin/defaults write {FILE} AutomaticallyInstallMacOSUpdates -bool false"
INVENTORY = """\
all:
  hosts:
    mini-1: {ansible_host: 127.0.0.2, ansible_port: 1}
    mini-2: {ansible_host: 127.0.0.1, ansible_port: 1, host_key: ssh-ed25519 AAAA}
"""


def a_finding(severity: Severity, *, node: str = "mini-1", check: str = "sleep", **changes) -> Finding:
    values = {"seen": "sleep 1 (not 0)", "why": "A Mac that sleeps answers nobody at night. " * 3}
    return Finding(**{"id": check, "severity": severity, "node": NodeName(node), **values, **changes})


def a_report(node: str, *findings: Finding, **changes) -> Report:
    return Report(node=NodeName(node), findings=findings, **changes)


WELL = a_report("mini-3", a_finding(Severity.OK, node="mini-3"))
NOTED = a_report("mini-2", a_finding(Severity.NOTE, node="mini-2"), a_finding(Severity.OK, node="mini-2"))
SICK = a_report(
    "mini-1",
    a_finding(Severity.CRITICAL, command=LONG, where="node", advice="or " + "think again " * 12),
    a_finding(Severity.UNKNOWN, check="panics", advice="look on the Mac itself"),
    a_finding(Severity.OK, check="clock", seen="its clock agrees"),
)
GONE = a_report(
    "mini-9", error=Unreachable("cannot reach 10.0.0.9: no answer in time", node="mini-9", hint="is it on?")
)
STRANGER = a_report("mini-8", error=NotAdopted("not adopted yet", node="mini-8", hint="fleet adopt mini-8"))


def test_nodes_come_worst_first_and_who_could_not_be_asked_before_all() -> None:
    assert [report.node for report in worst_first([WELL, NOTED, SICK, GONE])] == [
        "mini-9",
        "mini-1",
        "mini-2",
        "mini-3",
    ]


def test_every_line_fits_80_columns_apart_from_a_command_which_is_never_broken() -> None:
    lines = [click.unstyle(line) for line in blocks([WELL, NOTED, SICK, GONE])]
    assert [line for line in lines if len(line) > 80] == [f"{'':14}{LONG}"]
    assert f"{'':14}{LONG}" in lines


def test_a_state_has_a_shape_a_word_and_a_colour_and_ascii_where_there_is_no_unicode() -> None:
    styled = "\n".join(blocks([SICK]))
    assert "\x1b[" in styled
    plain = click.unstyle("\n".join(blocks([SICK], unicode=False)))
    assert plain.isascii()
    assert re.search(r"^  X CRIT +sleep: sleep 1", plain, re.MULTILINE)
    assert re.search(r"^  ■ CRIT +sleep: sleep 1", click.unstyle(styled), re.MULTILINE)


def test_what_is_well_is_counted_not_listed() -> None:
    text = click.unstyle("\n".join(blocks([SICK])))
    assert "1 critical, 1 unknown, 1 well" in text
    assert "clock" not in text
    assert "mini-1 ok clock its clock agrees" in list(plain_lines([SICK]))


def test_plain_lines_are_facts_with_the_fix_behind_its_finding() -> None:
    assert list(plain_lines([SICK, GONE])) == [
        "mini-9 error unreachable cannot reach 10.0.0.9: no answer in time",
        "mini-1 critical sleep sleep 1 (not 0)",
        f"mini-1 fix sleep node {LONG}",
        "mini-1 unknown panics sleep 1 (not 0)",
        "mini-1 ok clock its clock agrees",
    ]


def test_json_has_every_check_with_the_words_of_its_fix() -> None:
    gone, sick = reports_json([SICK, GONE])
    assert gone["error"] == {"code": "unreachable", "text": GONE.error.text if GONE.error else ""}
    assert (gone["severity"], gone["findings"]) == ("unknown", [])
    assert [one["severity"] for one in sick["findings"]] == ["critical", "unknown", "ok"]
    assert sick["findings"][0]["fix"] == {"command": LONG, "where": "node", "automatic": False}
    assert sick["findings"][2]["fix"] is None


@pytest.mark.parametrize(
    ("reports", "code"),
    [
        ([WELL, NOTED], 0),
        ([a_report("a", a_finding(Severity.UNKNOWN))], 0),
        ([WELL, SICK], 1),
        ([a_report("a", a_finding(Severity.WARN))], 1),
        ([WELL, GONE], 3),
        ([SICK, GONE], 3),
        ([GONE, GONE], 4),
        ([STRANGER], 1),
    ],
)
def test_the_exit_code_says_how_it_stands(reports: list[Report], code: int) -> None:
    assert exit_code(reports) == code


def told(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    (folder / "inventory").mkdir(exist_ok=True)
    (folder / "inventory/fleet.yml").write_text(INVENTORY)
    with pytest.raises(SystemExit) as end:
        main(["-i", str(folder / "inventory/fleet.yml"), "doctor", *words])
    out = capsys.readouterr()
    return int(end.value.code or 0), out.out + out.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "--plain"], "--json or --plain"),
        (["--yes"], "go with --fix"),
        (["mini-1", "--on", "all"], "either nodes by name or --on"),
        (["--on", "nothing"], "nothing"),
        (["mini-7"], "mini-7"),
    ],
)
def test_words_that_do_not_fit_are_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = told(words, tmp_path, capsys)
    assert (code, said in text) == (2, True), text


def test_a_node_that_was_not_adopted_is_told_to_be_and_one_that_is_off_is_unreachable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = told(["mini-1"], tmp_path, capsys)
    assert (code, "fleet adopt mini-1" in text) == (1, True)
    code, text = told(["mini-2", "--plain"], tmp_path, capsys)
    assert code == 4
    assert text.startswith("mini-2 error unreachable")
