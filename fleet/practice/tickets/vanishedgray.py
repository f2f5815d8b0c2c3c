"""A gray model that its provider has no more, as fronts tell it -> the same ticket as the model list makes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from fleet.practice.rankings.finding import Finding, Kind, Subject
from fleet.practice.rankings.join import tail
from fleet.practice.rankings.ours import OurModel, Ours
from fleet.practice.rankings.week import Week
from fleet.vocabulary.contracts.policy_admin import GrayReports, GrayState


def vanished_gray(reports: Iterable[GrayReports], *, ours: Ours) -> tuple[Finding, ...]:
    """A finding for every model of a gray route that stands at `no_model`, each once however many fronts say so.

    The week is that in which it was noticed, so that a front that tells it for a month makes one finding.
    """
    found: dict[tuple[str, ...], Finding] = {}
    for report in reports:
        for route in report.routes:
            if route.state is not GrayState.NO_MODEL:
                continue
            since = report.at_seconds if route.since_seconds is None else route.since_seconds
            noticed = datetime.fromtimestamp(since, UTC)
            for model in _models(route.models, ours):
                finding = Finding(
                    kind=Kind.VANISHED,
                    week=str(Week.of(noticed.date())),
                    subject=_subject(model, ours),
                    said_by=f"front {report.node}: {route.reason or 'the provider has the model no more'}",
                    notes=(
                        f"Noticed by a request of {noticed:%Y-%m-%d %H:%M} UTC; the gray pool takes nothing since.",
                    ),
                )
                found.setdefault((model.asked,), finding)
    return tuple(found.values())


def _models(names: Iterable[str], ours: Ours) -> Iterator[OurModel]:
    """Ours of these, by whichever of their names a front tells."""
    for name in names:
        for one in ours.models:
            if name in (one.served, one.asked, f"{one.upstream}/{one.served}"):
                yield one


def _subject(model: OurModel, ours: Ours) -> Subject:
    served = tuple(one.served for one in ours.models if one.asked == model.asked)
    routes = dict.fromkeys(route.name for name in served for route in ours.naming(name))
    return Subject(key=tail(model.asked), title=model.asked, id=model.asked, served=served, routes=tuple(routes))
