"""`fleet events`: the rows of what was kept, for people and for scripts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from fleet.cli.events import followed, picture, within
from fleet.cli.main import main
from fleet.control.watch.eventrows import rows_of
from fleet.testing.clock import FakeClock
from fleet.vocabulary.eventfiles import EventFiles
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import Health

NOW = datetime.now(UTC).replace(microsecond=0)


def a_change(minutes_ago: float, node: str = "mini-1", *, after: Health = Health.CRITICAL) -> Transition:
    at = NOW.timestamp() - 60 * minutes_ago
    return Transition(
        at_seconds=at,
        node=node,
        check="service_down",
        subject="sidecar.chat",
        before=Health.CRITICAL if after is Health.OK else Health.OK,
        after=after,
        began_seconds=at - 60,
        since_seconds=at if after is Health.OK else at - 60,
        text="sidecar.chat is down: not running",
        do=f"fleet logs {node} sidecar.chat",
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EventFiles:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all:\n  hosts:\n    mini-[1:2]: {}\n")
    monkeypatch.chdir(tmp_path)
    return EventFiles(tmp_path / ".fleet" / "events")


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["events", *words])
    return int(stop.value.code or 0)


def test_nothing_kept_is_nothing_wrong_as_far_as_somebody_looked(
    project: EventFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    assert "nothing went wrong in the last 1d 0h, as far as fleet status looked" in capsys.readouterr().out
    assert run("--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_rows_are_json_with_since_until_duration_and_advice(
    project: EventFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    project.append([a_change(30), a_change(10, after=Health.OK), a_change(5, "mini-2")])
    assert run("--json") == 0
    ended, lasts = json.loads(capsys.readouterr().out)
    assert (ended["node"], ended["lasted_seconds"], ended["health"]) == ("mini-1", 21 * 60.0, "critical")
    assert (lasts["until"], lasts["do"]) == (None, "fleet logs mini-2 sidecar.chat")
    assert run("mini-2", "--json") == 0
    assert [row["node"] for row in json.loads(capsys.readouterr().out)] == ["mini-2"]
    assert run("--since", "8m", "--json") == 0
    assert [row["node"] for row in json.loads(capsys.readouterr().out)] == ["mini-2"]


def test_people_see_the_same_rows_and_what_to_do_about_what_lasts(
    project: EventFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    project.append([a_change(30), a_change(10, after=Health.OK), a_change(5, "mini-2")])
    assert run() == 0
    out = capsys.readouterr().out
    assert "21m 00s" in out
    assert out.count("sidecar.chat is down") == 2
    assert "fleet logs mini-2 sidecar.chat" in out
    assert "fleet logs mini-1" not in out


@pytest.mark.parametrize(
    ("words", "says"), [(("nobody",), "nobody"), (("--since", "soon"), "not a span"), (("--since", "0"), "above 0")]
)
def test_bad_words_are_one_message(
    project: EventFiles, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_following_tells_what_begins_and_what_ends_once(project: EventFiles) -> None:
    project.append([a_change(30)])
    clock = FakeClock(at=NOW)
    rows = within(rows_of(project.read(), NOW), NOW - timedelta(hours=1))
    news = followed(project, clock, rows)
    project_later = [[a_change(0, "mini-2")], [a_change(0, after=Health.OK)]]

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if project_later:
            project.append(project_later.pop(0))

    clock.sleep = sleep  # type: ignore[method-assign]
    assert [row.node for row in next(news)] == ["mini-2"]
    (ended,) = next(news)
    assert (ended.node, ended.until) == ("mini-1", NOW)


@pytest.mark.parametrize("unicode", [True, False])
def test_the_picture_fits_eighty_columns_and_shapes_are_words_too(unicode: bool) -> None:
    rows = rows_of([a_change(30, "a-node-with-a-very-long-name-17")], NOW)
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(picture(rows, width=80, unicode=unicode))
    lines = capture.get().splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert any("lasts" in line and ("■" if unicode else "X") in line for line in lines)
