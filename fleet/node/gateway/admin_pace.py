"""The pace of the node's own sidecars as its agent asks for it: `GET /admin/pace`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit

from fleet.node.gateway.call import Call, Phase
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.traffic.pace import RECENT_SECONDS, WINDOW_SECONDS
from fleet.vocabulary.contracts.gateway_admin import PaceReport, UpstreamPace


def pace_report(node: str, live: Iterable[LiveUpstream], calls: Iterable[Call], *, now: float) -> PaceReport:
    """Every sidecar of `live`. `calls` are those in flight; `now` is in monotonic seconds."""
    waiting = Counter(call.upstream for call in calls if call.phase is Phase.WAITING)
    return PaceReport(
        node=node,
        window_seconds=WINDOW_SECONDS,
        recent_seconds=RECENT_SECONDS,
        upstreams=tuple(
            UpstreamPace(
                name=one.name,
                serves=one.spec.serves,
                port=urlsplit(one.spec.url).port,
                in_flight=one.in_flight,
                waiting=waiting[one.name],
                answered_seconds_ago=_ago(one.pace.answered_at, now),
                refusing_seconds=_ago(one.pace.refusing_since, now),
                rows=one.pace.window.rows(now),
                recent=one.pace.recent.rows(now),
            )
            for one in live
            if one.pace is not None
        ),
    )


def _ago(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at)
