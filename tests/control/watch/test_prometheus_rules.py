"""The alert rules and the dashboard: promtool's own tests, and every series in them is one that somebody has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.promql import (
    agent_series,
    dashboard_queries,
    metric_names,
    rule_queries,
    rules,
    shipped,
)

HERE = Path(__file__).parent
METRICS_PAGE = HERE.parents[2] / "docs" / "metrics.md"


@pytest.mark.parametrize(
    "words",
    [("check", "rules", "../../../fleet/control/watch/fleet.rules.yml"), ("test", "rules", "fleet.rules.test.yml")],
    ids=["check", "test"],
)
def test_promtool_agrees(words: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    answer = subprocess.run([promtool, *words], cwd=HERE, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_rule_is_fired_by_a_test_of_its_own() -> None:
    tested = (HERE / "fleet.rules.test.yml").read_text()
    assert [rule["alert"] for rule in rules() if rule["alert"] not in tested] == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_a_rule_waits_and_says_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert re.fullmatch(r"[1-9]\d*m", str(rule["for"]))
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert len(re.sub(r"{{.*?}}", "", rule["annotations"]["summary"])) < 50
    assert "`fleet " in rule["annotations"]["description"]


def test_every_series_is_one_that_an_agent_or_a_gateway_has() -> None:
    """Of gateways: docs/metrics.md names every family, which a test of theirs holds it to."""
    of_gateways = set(re.findall(r"^\| `([a-z_]+)` \|", METRICS_PAGE.read_text(), re.MULTILINE))
    known = (
        agent_series() | of_gateways | {f"{name}_{part}" for name in of_gateways for part in ("bucket", "sum", "count")}
    )
    asked = {name for query in (*dashboard_queries(), *rule_queries()) for name in metric_names(query)}
    assert len(asked) > 20
    assert asked - known == set()


def test_every_panel_has_a_place_and_a_query_of_its_own() -> None:
    panels = json.loads(shipped("dashboard.json"))["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["targets"] for panel in panels if panel["type"] != "row")
