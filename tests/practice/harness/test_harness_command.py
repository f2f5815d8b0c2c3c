"""`fleet harness` as a person meets it: runs, reports, verdicts, and every way to get it wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from measured_kit import a_head, drawn
from rich.console import Console
from simulated_api import simulated_openrouter

from fleet.cli.harnessview import report_view, verdict_view
from fleet.cli.main import cli
from fleet.errors import FleetError
from fleet.practice.harness.compare import compare
from fleet.practice.harness.measured import measured
from fleet.practice.harness.report import report_of_run
from fleet.practice.harness.run import Run
from fleet.sim.upstreams.openrouter import KEY
from fleet.vocabulary.names import Tier

OWN = """
suite: own
max_tokens: 30
prompts:
  - {id: good, category: echo, ask: "say marmalade", expect: {contains: marmalade}}
  - {id: poor, category: echo, ask: "say marmalade", expect: {contains: honey}}
  - id: tool
    category: tools
    ask: "@@tool=look {\\"at\\": 1}@@"
    tools: [look]
    expect: {calls: [{tool: look, with: {at: 1}}], contains: nothing to see}
tools:
  look:
    description: Look.
    parameters: {type: object, properties: {at: {type: integer}}, required: [at]}
    results: [{give: nothing to see}]
"""


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all:\n  hosts:\n    mini-1: {ansible_host: 192.0.2.1}\n")
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "own.yml").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API_KEY", KEY)
    return tmp_path


@pytest.fixture(name="small", scope="module")
def _small() -> Iterator[str]:
    with simulated_openrouter() as api:
        yield f"http://127.0.0.1:{api.port}/api/v1,model=sim/echo-small,key=env:API_KEY,tier=api"


def fleet(*words: str) -> Result:
    return CliRunner().invoke(cli, ["harness", *words])


def refused(*words: str) -> str:
    answer = fleet(*words)
    assert isinstance(answer.exception, FleetError), answer.output
    return answer.exception.text


def test_a_run_is_made_shown_and_compared(project: Path, small: str) -> None:
    made = fleet(
        "run",
        "--suite",
        "own",
        "--name",
        "one",
        "--target",
        f"api={small}",
        "--target",
        "gone=http://127.0.0.1:9/v1,model=m",
    )
    assert made.exit_code == 3, made.output
    assert re.search(r"^api +api +2/3 ", made.stdout, re.MULTILINE)
    assert "gone was not measured: 127.0.0.1 cannot be reached" in made.stdout
    assert "api: 3 of 3, 2 passed" in made.stderr
    assert fleet("report").stdout == made.stdout
    told = json.loads(fleet("report", "one", "--json").stdout)
    assert (told["targets"][0]["failed"], told["targets"][0]["tools"]["hits"]) == (["poor"], 1)
    assert "| api | api | 2/3 |" in fleet("report", "--markdown").stdout
    verdict = fleet("compare", "one:api", "last:api")
    assert (verdict.exit_code, "3 prompts were measured at both; a verdict needs 30" in verdict.stdout) == (1, True)
    assert json.loads(fleet("compare", "one:api", "one:api", "--json").stdout)["word"] == "no_verdict"
    assert fleet("runs").stdout == "one  own  api 2/3, gone -  (incomplete)\n"


def test_a_run_that_stopped_at_its_ceiling_goes_on_with_more(project: Path, small: str) -> None:
    stopped = fleet(
        "run", "--suite", "own", "--only", "echo", "--name", "r", "--ceiling", "0", "--target", f"api={small}"
    )
    assert (stopped.exit_code, "the cost ceiling" in stopped.stdout) == (4, True)
    assert "fleet harness run --resume r" in stopped.stdout
    done = fleet("run", "--resume", "r", "--ceiling", "0.01")
    assert (done.exit_code, "1/2" in done.stdout) == (0, True), done.output
    lines = (project / "harness" / "r" / "results.jsonl").read_text()
    assert fleet("run", "--resume", "last").exit_code == 0
    assert (project / "harness" / "r" / "results.jsonl").read_text() == lines, "there was nothing left to ask"
    (project / "suites" / "own.yml").write_text(OWN.replace("say marmalade", "say jam"))
    assert "is not what it was" in refused("run", "--resume", "r")


def test_a_run_that_was_killed_before_its_first_line_goes_on_below_a_ceiling(project: Path, small: str) -> None:
    words = ("run", "--suite", "own", "--only", "echo", "--name", "r", "--ceiling", "0", "--target", f"api={small}")
    assert fleet(*words).exit_code == 4
    (project / "harness" / "r" / "results.jsonl").write_text("")
    told = json.loads(fleet("run", "--resume", "r", "--json").stdout)
    assert (told["complete"], told["ceiling_pico"]) == (True, 10**12)


def test_what_a_person_gets_wrong_is_told_with_what_helps(project: Path, small: str) -> None:
    assert "--target fleet=ROUTE" in refused("run")
    assert "there is no suite 'nope'" in refused("run", "--suite", "nope", "--target", f"a={small}")
    assert "no prompt and no category 'x'" in refused("run", "--only", "x", "--target", f"a={small}")
    assert "--ceiling: 'much' is not an amount" in refused("run", "--ceiling", "much", "--target", f"a={small}")
    assert "two targets are called a" in refused("run", "--target", f"a={small}", "--target", f"a={small}")
    nope = small.replace("sim/echo-small", "nope")
    assert "a: there is no model nope there" in refused("run", "--target", f"a={nope}")
    assert "there is no run yet" in refused("report")
    assert "cannot be the name of a run" in refused("report", "../x")
    (project / "bad.yml").write_text(OWN.replace("contains: honey", "contians: honey"))
    assert refused("run", "--suite", "bad.yml", "--target", f"a={small}").startswith("bad.yml:6:")
    assert not (project / "harness").exists()


def test_what_is_shown_fits_80_columns() -> None:
    known = {
        "laptop": {"passing": 0.5, "calling": 0.6, "seconds": 300.0, "pico": 0, "seed": 1},
        "production-fleet": {"passing": 0.8, "seconds": 2.0, "pico": 0, "seed": 2},
        "api": {"pico": 40_000_000_000, "seed": 3},
    }
    head = msgspec.structs.replace(a_head(*known), run="2026-11-22-1740")
    targets = tuple(msgspec.structs.replace(one, tier=Tier.LAPTOP) for one in head.targets)
    results = [one for name, rates in known.items() for one in drawn(name, **rates).results]  # type: ignore[arg-type]
    run = Run(head=msgspec.structs.replace(head, targets=targets), finished={one.key: one for one in results})
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(report_view(report_of_run(run), unicode=False, width=80))
        console.print(verdict_view(compare(measured(run, "laptop"), measured(run, "api")), unicode=False))
    shown = capture.get()
    assert "…" not in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
