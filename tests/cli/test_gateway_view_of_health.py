"""Routes whose nodes are unwell, as `fleet route list` shows them."""

from __future__ import annotations

from rich.console import Console

from fleet.cli.gatewayview import routes_lines, routes_screen
from fleet.vocabulary.contracts.gateway_admin import RouteReport, RouteReports, UpstreamReport
from fleet.vocabulary.names import Track

ROOM = "100 MiB left under the GPU wired limit"


def report(**changes: object) -> RouteReports:
    values = {"name": "mini-1/smol", "serves": "smol", "kind": "edge", "state": "ready", "max_in_flight": 4, **changes}
    one = UpstreamReport(**values)  # type: ignore[arg-type]
    return RouteReports(
        node="front-1",
        config_sha256="x",
        routes=(RouteReport(name="smol", track=Track.PRIVATE, upstreams=(one,)),),
    )


def shown(found: RouteReports) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(routes_screen(found))
    return capture.get()


def test_a_standing_is_shown_beside_the_state_and_explained_below() -> None:
    text = shown(report(standing="none", unwell=(ROOM,)))
    assert "● ready, none" in text
    assert f"● mini-1/smol  gets no new work while others serve: {ROOM}" in text
    assert "gets less new work: it is hot" in shown(report(standing="less", unwell=("it is hot",)))


def test_what_is_down_and_unwell_says_both() -> None:
    text = shown(report(state="down", reason="connection refused", standing="none", unwell=(ROOM,)))
    assert f"mini-1/smol  connection refused; gets no new work while others serve: {ROOM}" in text


def test_plain_lines_say_it_last_and_only_then() -> None:
    assert list(routes_lines(report())) == ["smol private 1 mini-1/smol ready 0/4 0"]
    (line,) = routes_lines(report(standing="less", unwell=("it is hot", "it swaps")))
    assert line == "smol private 1 mini-1/smol ready 0/4 0 less: it is hot; it swaps"
