"""The FleetView as plain lines, for eyes and scripts without a table."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.cli.statuswords import gone_text, pressure_word, ready_word, services_text, thermal_word
from fleet.control.watch.view import FleetView, Reach
from fleet.vocabulary.units import bytes_text, seconds_text


def plain_lines(view: FleetView) -> Iterator[str]:
    """One fact per line: NODE KEY VALUE. Unknown is `-`. The laptop itself is the node `-`."""
    if view.laptop_problem:
        yield f"- problem this laptop is offline: {view.laptop_problem}"
    for row in view.rows:
        facts: dict[str, object] = {
            "freshness": row.freshness,
            "health": row.health,
            "intent": row.intent,
            "reach": row.reach,
            "age": seconds_text(row.age_seconds),
            **({"via": row.via} if row.via else {}),
            "groups": " ".join(row.groups) or "-",
            "services": services_text(row),
            "memory_pressure": pressure_word(row.pressure_level),
            "thermal_pressure": thermal_word(row.thermal_level),
            "wired_headroom": bytes_text(row.wired_headroom_bytes),
            "swap_used": bytes_text(row.swap_used_bytes),
        }
        for key, value in facts.items():
            yield f"{row.node} {key} {value}"
        for model in row.models:
            yield f"{row.node} model {model.name} {ready_word(model)}"
        for concern in row.concerns:
            yield f"{row.node} concern {concern.health} {concern.text}{gone_text(concern, view.at)}"
            if concern.since:
                yield f"{row.node} concern_since {concern.since:%Y-%m-%dT%H:%M:%SZ} {concern.code}"
        if row.problem and row.reach is not Reach.ANSWERED:
            yield f"{row.node} problem {row.problem}"
