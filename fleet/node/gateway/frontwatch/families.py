"""The fleet as a front sees it, as families of its metrics: one scrape of a front shows all nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet.node.gateway.frontwatch.outbox import Outbox
from fleet.vocabulary.exposition import Exposition, Labels
from fleet.vocabulary.health.check import rank, worst
from fleet.vocabulary.health.state import NodeState
from fleet.vocabulary.health.step import faults
from fleet.vocabulary.names import Health

_MOST_FAULTS = 20
"""Per node: subjects are named by nodes."""


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """One node: whether it answered when it was asked last (None = not yet), and what is known of its health."""

    node: str
    up: bool | None
    age_seconds: float | None = None
    state: NodeState | None = None


@dataclass(frozen=True, kw_only=True)
class WatchView:
    """The watch of a front at one moment. `outbox` None = there is no webhook; `pings` None = there is no ping."""

    nodes: tuple[NodeView, ...] = ()
    fronts: Mapping[str, bool | None] = field(default_factory=dict)
    alone: bool = False
    outbox: Outbox | None = None
    pings: Mapping[str, int] | None = None
    power_runs: int | None = None
    write_failures: int = 0


def write(text: Exposition, view: WatchView) -> None:
    """All families of the watch."""
    _nodes(text, view.nodes)
    text.family(
        "fleet_front_up",
        "gauge",
        "Whether another front answered when this one asked it last.",
        [((("front", name),), None if up is None else int(up)) for name, up in view.fronts.items()],
    )
    text.one(
        "fleet_front_alone",
        "gauge",
        "1 while this front reaches nobody else: then it is cut off itself, and says nothing of the others.",
        int(view.alone),
    )
    if view.outbox is not None:
        _webhook(text, view.outbox)
    if view.pings is not None:
        text.family(
            "fleet_pings_total",
            "counter",
            "Dead man's pings: ok, failed, withheld (this front could not serve).",
            [((("result", word),), count) for word, count in view.pings.items()],
        )
    text.one("fleet_power_hook_runs_total", "counter", "How often the power hook was run.", view.power_runs)
    text.one(
        "fleet_watch_write_failures_total",
        "counter",
        "What the watch could not write to disk: a restart may forget it.",
        view.write_failures,
    )


def _nodes(text: Exposition, nodes: Iterable[NodeView]) -> None:
    about: list[tuple[Labels, NodeView]] = [((("node", one.node),), one) for one in nodes]
    text.family(
        "fleet_node_up",
        "gauge",
        "Whether the node gave a snapshot when it was asked last.",
        [(labels, None if one.up is None else int(one.up)) for labels, one in about],
    )
    text.family(
        "fleet_node_health",
        "gauge",
        "The worst fault of the node: 0 ok, 1 unknown, 2 warn, 3 critical.",
        [(labels, _health(one.state)) for labels, one in about],
    )
    text.family(
        "fleet_node_snapshot_age_seconds",
        "gauge",
        "How long ago the node gave its last snapshot.",
        [(labels, one.age_seconds) for labels, one in about],
    )
    text.family(
        "fleet_node_fault",
        "gauge",
        "A fault that is shown, by check and what it is about: 1 unknown, 2 warn, 3 critical.",
        [
            ((*labels, ("check", fault.check), ("subject", fault.subject)), rank(fault.health))
            for labels, one in about
            if one.state is not None
            for fault in faults(one.state)[:_MOST_FAULTS]
        ],
    )


def _health(state: NodeState | None) -> int | None:
    if state is None:
        return None
    return rank(worst(fault.health for fault in faults(state)) if state.tracks else Health.UNKNOWN)


def _webhook(text: Exposition, outbox: Outbox) -> None:
    text.one("fleet_webhook_waiting", "gauge", "Notices that still have to be posted.", len(outbox.letters))
    text.family(
        "fleet_webhook_total",
        "counter",
        "Notices by what became of them: delivered, refused by the receiver, dropped as too old or one too many; "
        "failed counts tries.",
        [
            ((("result", word),), count)
            for word, count in (
                ("delivered", outbox.delivered_total),
                ("failed", outbox.failed_total),
                ("refused", outbox.refused_total),
                ("dropped", outbox.dropped_total),
            )
        ],
    )
