"""Where models are and whether they fit, as text and as documents for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fleet.control.actions.modellist import NodeModels
from fleet.control.desired.modelfit import Answer
from fleet.vocabulary.contracts.codec import plain
from fleet.vocabulary.contracts.questions import StoredModel
from fleet.vocabulary.units import bytes_text, seconds_text

_HEAD = ("NODE", "MODEL", "SIZE", "USED", "WHY IT IS THERE")


def listing(answers: Sequence[NodeModels], names: Mapping[str, str], *, now_seconds: float) -> Iterator[str]:
    """A line for each model of each node, columns aligned; nodes that did not answer are not among them."""
    rows = [
        (one.node, shown_name(model, names), bytes_text(model.size_bytes), _used(model, now_seconds), why(model))
        for one in answers
        for model in one.models.models
    ]
    if not rows:
        return
    widths = [max(len(row[column]) for row in (_HEAD, *rows)) for column in range(4)]
    for row in (_HEAD, *rows):
        cells = [cell.rjust(widths[at]) if at == 2 else cell.ljust(widths[at]) for at, cell in enumerate(row[:4])]
        yield "  ".join((*cells, row[4])).rstrip()


def shown_name(model: StoredModel, names: Mapping[str, str]) -> str:
    """The name that the project gives to weights of that content, with the first digits of their digest."""
    own, _, digest = model.name.rpartition("@")
    return f"{names.get(digest, own)}@{digest[:8]}"


def why(model: StoredModel) -> str:
    """What keeps the weights there, in words."""
    if model.loaded_by:
        return f"loaded by {', '.join(label.rpartition('.sidecar.')[2] for label in model.loaded_by)}"
    if model.live:
        return "live, no running service stands on it"
    if model.releases:
        count = len(model.releases)
        return f"an older release refers to it: {model.releases[0][:12]}" + (
            f" and {count - 1} more" if count > 1 else ""
        )
    if model.spared_seconds is not None:
        return f"pulled; spared until {datetime.fromtimestamp(model.spared_seconds, UTC):%m-%d %H:%M} UTC"
    return "nothing refers to it: fleet model gc removes it"


def _used(model: StoredModel, now_seconds: float) -> str:
    if model.live:
        return "now"
    if model.used_seconds is None:
        return "-"
    return f"{seconds_text(max(0.0, now_seconds - model.used_seconds))} ago"


def listing_document(answers: Sequence[NodeModels], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {"node": one.node, "error": one.error.text}
        if one.error is not None
        else {
            "node": one.node,
            "free_bytes": one.models.free_bytes,
            "models": [
                {**plain(model), "model": names.get(model.name.rpartition("@")[2])} for model in one.models.models
            ],
        }
        for one in answers
    ]


def fit_lines(answers: Sequence[Answer], *, arithmetic: bool) -> Iterator[str]:
    """One line a node, and below it the arithmetic where it does not fit or was asked for."""
    for one in answers:
        yield f"{one.node}: {_verdict(one)}"
        if arithmetic or one.fits is not True:
            yield from (f"  {line}" for line in one.text.splitlines())


def _verdict(one: Answer) -> str:
    if one.fits is None:
        return "not known"
    if not one.fits:
        return "does not fit" if not one.served else "is to be served there, and does not fit"
    where = f"{bytes_text(one.needed_bytes)} of {bytes_text(one.limit_bytes)}"
    word = "is served there" if one.served else "fits"
    return f"{word}, {where}" + (", tight: less than a fifth stays free" if one.tight else "")
