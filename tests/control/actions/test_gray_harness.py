"""`fleet gray enable --harness`: the front is told what the run found, under the name by which it knows the model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fleet.control.actions.grayharness import with_harness
from fleet.control.actions.graypool import Pool
from fleet.control.inventory import load_inventory
from fleet.control.inventory.project import find_project
from fleet.errors import UsageError
from fleet.practice.harness.results import Finished, Outcome, PromptHead, RunHead, TargetHead
from fleet.practice.harness.store import RunBook, begin_run
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.contracts.policy_admin import GrayReport, GrayRequest, GrayState
from fleet.vocabulary.names import NodeName

INVENTORY = """
all:
  hosts:
    mini-1:
      ansible_host: 192.0.2.1
      upstreams:
        router: {engine: openrouter, key: "env:KEY", models: {owl: vendor/owl-alpha}}
"""
ASKED = GrayRequest(route="pool", on=True, ticket="OPS-9")
FRONT = GrayReport(route="pool", models=("owl",), feeds=(), state=GrayState.ROLLED_BACK, share="0.1")
POOL = Pool(route="pool", fronts={NodeName("mini-1"): FRONT})


def a_run(project: Path, model: str) -> None:
    prompts = tuple(PromptHead(id=f"p{n}", category="c", digest="d", tools=True) for n in range(3))
    target = TargetHead(name="gray", model=model, where="https://api.example/v1")
    head = RunHead(
        run="r", suite="s", suite_file="s", suite_digest="d", prompts=prompts, targets=(target,), started_milliseconds=1
    )
    begin_run(project / "harness" / "r", head)
    book = RunBook(project / "harness" / "r")
    for prompt in prompts:
        book.write(
            Finished(
                target="gray", prompt=prompt.id, repeat=0, outcome=Outcome.PASSED, at_milliseconds=7,
                tool_verdicts=(ToolVerdict.OK,), model=model,
            )
        )  # fmt: skip
    book.close()


def told(project: Path, text: str, pools: tuple[Pool, ...] = (POOL,)) -> GrayRequest:
    found = find_project(None, cwd=project)
    return with_harness(ASKED, text, pools, inventory=load_inventory(found), project=found)


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text(INVENTORY)
    return tmp_path


@pytest.mark.parametrize("model", ["vendor/owl-alpha", "owl"])
def test_a_run_straight_at_the_provider_counts_for_the_model_that_the_front_serves(project: Path, model: str) -> None:
    a_run(project, model)
    for text in ("r", "last", "r:gray"):
        found = told(project, text).harness
        assert found is not None
        assert (found.run, found.model, found.prompts, found.successes, found.scored) == ("r", "owl", 3, 3, 3)
    assert msgspec.json.decode(msgspec.json.encode(told(project, "r")), type=GrayRequest) == told(project, "r")


def test_nobodys_word_is_taken(project: Path) -> None:
    a_run(project, "flash")
    for text, why in (("r=50/50", "is no run"), ("other", "no harness run"), ("r", "did not measure owl")):
        with pytest.raises(UsageError, match=why):
            told(project, text)
    with pytest.raises(UsageError, match="no front says"):
        told(project, "r", pools=())
