"""A gray route in a few lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.text import Text

from fleet.control.actions.graypool import Pool
from fleet.vocabulary.contracts.policy_admin import GrayReport, GrayState

_STATES = {
    GrayState.ON: ("●", "+", "on", "green"),
    GrayState.DISABLED: ("◆", "V", "disabled", "blue"),
    GrayState.ROLLED_BACK: ("■", "X", "ROLLED BACK", "bold red"),
    GrayState.SUSPENDED: ("▲", "!", "suspended", "yellow"),
    GrayState.NO_MODEL: ("○", "o", "no model", "yellow"),
}


def gray_lines(pool: Pool, *, unicode: bool) -> Iterator[Text]:
    """The head with the sums, then what each front says when it has something of its own to say."""
    yield _head(pool, unicode=unicode)
    yield Text(f"  {_sums(pool)}")
    for name, one in pool.fronts.items():
        calls = _calls(one)
        if calls:
            yield Text(f"  {name}: {calls}", style="dim" if one.verdict == "ok" else "")
    said = {(one.state, one.reason) for one in pool.fronts.values()}
    for name, one in pool.fronts.items():
        if one.state is not GrayState.ON or len(said) > 1:
            yield Text(f"  {name}: {_state(one)}")


def _head(pool: Pool, *, unicode: bool) -> Text:
    shape, plain, word, style = _STATES[pool.state]
    head = Text(f"{shape if unicode else plain} ", style=style)
    head.append(pool.route, style="bold")
    head.append(f"  {word}", style=style)
    models = dict.fromkeys(model for one in pool.fronts.values() for model in one.models)
    feeds = dict.fromkeys(route for one in pool.fronts.values() for route in one.feeds)
    head.append(f"  {', '.join(models) or 'no model'}", style="dim")
    if feeds:
        head.append(f"  fed by {', '.join(feeds)}", style="dim")
    return head


def _sums(pool: Pool) -> str:
    share = pool.share
    cap = "fronts differ in their cap" if share is None else f"cap {float(share) * 100:g} %"
    observed = pool.observed
    if observed is None:
        return f"this week: nothing was committed yet; {cap}"
    words = (
        f"this week: {observed * 100:.2f} % of {pool.requests:,} requests ({pool.gray:,} gray); {cap};"
        f" eligible n = {pool.eligible:,}"
    )
    interval = pool.interval
    if interval is not None:
        words += f", of them {interval[0] * 100:.1f}-{interval[1] * 100:.1f} % (95 %)"
    return words


def _calls(one: GrayReport) -> str:
    if not one.calls and not one.why:
        return ""
    rate = f"{one.failures / one.calls * 100:.1f} %" if one.calls else "-"
    before = f"{one.failures_before / one.calls_before * 100:.1f} %" if one.calls_before else "-"
    words = f"tool calls fail {rate} of {one.calls:,}, the week before {before} of {one.calls_before:,}: {one.verdict}"
    if one.why:
        words += f"; {one.why}"
    return words + ("; the token track got worse as well" if one.confounded else "")


def _state(one: GrayReport) -> str:
    words = _STATES[one.state][2].lower()
    if one.since_seconds is not None:
        words += f" since {_time(one.since_seconds)}"
    if one.until_seconds is not None:
        words += f" until {_time(one.until_seconds)}"
    if one.by:
        words += f" by {one.by}"
    return words + (f": {one.reason}" if one.reason else "")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
