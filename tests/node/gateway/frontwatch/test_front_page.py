"""What the guide says of the webhook and the metrics of a front is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from fleet.node.gateway.frontwatch.families import NodeView, WatchView, write
from fleet.node.gateway.frontwatch.notices import TOLD, sift
from fleet.node.gateway.frontwatch.outbox import NEVER_TAKEN, Outbox
from fleet.vocabulary.contracts.notice import Notice
from fleet.vocabulary.exposition import Exposition
from fleet.vocabulary.health.state import Latch, NodeState, Track, Transition
from fleet.vocabulary.health.table import CHECKS
from fleet.vocabulary.names import Health

DOCS = Path(__file__).resolve().parents[4] / "docs"
OPERATING = (DOCS / "operating-gateways.md").read_text()
METRICS = (DOCS / "metrics.md").read_text()


def shown_body() -> Notice:
    found = re.search(r"<!-- webhook body -->\n```json\n(.*?)```", OPERATING, flags=re.DOTALL)
    assert found is not None
    return msgspec.json.decode(found[1], type=Notice)


def test_the_body_of_the_guide_is_what_a_front_posts_of_that_change() -> None:
    body, check = shown_body(), CHECKS["memory_pressure"]
    change = Transition(
        at_seconds=body.at.timestamp(),
        node=body.node,
        check=body.check,
        before=body.before,
        after=body.after,
        began_seconds=body.since.timestamp(),
        since_seconds=body.at.timestamp(),
        text=body.what,
        next=check.next,
        do=check.do.format(node=body.node, subject=""),
    )
    assert sift(body.front, {}, [change])[1] == (body,)


def test_the_guide_names_every_field_every_check_and_every_status_that_is_passed_over() -> None:
    section = OPERATING.partition("### The webhook")[2].partition("### The dead man")[0]
    for name in (*Notice.__struct_fields__, *TOLD):
        assert f"`{name}`" in section, name
    assert all(str(status) in section for status in NEVER_TAKEN)


def test_every_check_that_is_told_exists_and_can_be_critical() -> None:
    own = {"front_silent", "front_alone"}
    assert all(CHECKS[name].critical is not None for name in TOLD - own)


def test_the_families_of_a_front_are_in_the_guide_and_prometheus_reads_them() -> None:
    bad = Track("memory_pressure", "", critical=Latch(True, 1.0, True, 1.0), level=Health.CRITICAL, text="x")
    view = WatchView(
        nodes=(
            NodeView(node="mini-1", up=True, age_seconds=1.5, state=NodeState(node="mini-1", tracks=(bad,))),
            NodeView(node="mini-2", up=False),
            NodeView(node="mini-3", up=None),
        ),
        fronts={"front-2": True, "front-3": None},
        outbox=Outbox(delivered_total=3),
        pings={"ok": 1, "failed": 0, "withheld": 0},
        power_runs=0,
    )
    text = Exposition()
    write(text, view)
    families = {one.name: one for one in text_string_to_metric_families(text.encode().decode())}
    samples = {(one.name, *one.labels.values()): one.value for family in families.values() for one in family.samples}
    assert samples["fleet_node_health", "mini-1"] == 3
    assert samples["fleet_node_up", "mini-2"] == 0
    assert ("fleet_node_up", "mini-3") not in samples
    assert ("fleet_front_up", "front-3") not in samples
    assert samples["fleet_node_fault", "mini-1", "memory_pressure", ""] == 3
    table = METRICS.partition("## The fleet, as a front sees it")[2].partition("\n## ")[0]
    assert {name for name, *_ in samples} == set(re.findall(r"^\| `(fleet_\w+)`", table, flags=re.MULTILINE))
