"""Export: the rows of `--json` beside the picture, never over a file. The palette: all that can be opened and done."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from runs_kit import KEY, FakeLogs, Room, lines_of, whole
from textual.command import CommandList
from textual.pilot import Pilot
from traffic_kit import MIXED_TRAFFIC, Fronts
from tui_kit import MIXED, NOW, Done

from fleet.tui.app import FleetTop
from fleet.tui.export import document_text, write_export
from fleet.tui.fleet_screen import FleetScreen
from fleet.tui.palette import Nodes, Screens, Themes, Verbs

SIZE = (100, 30)


async def settled(app: FleetTop, pilot: Pilot[None]) -> None:
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


async def test_every_screen_is_exported_with_the_rows_of_the_command_line(tmp_path: Path) -> None:
    room = Room(tmp_path)
    app, _ = whole(
        MIXED,
        tmp_path,
        runs=room.of("mixed"),
        logs=FakeLogs(lines_of("mixed", ["mini-03"])),
        traffic=Fronts(MIXED_TRAFFIC),
    )
    found: dict[str, Any] = {}
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        for keys in (
            (),
            ("enter",),
            ("escape", "e"),
            ("escape", "d"),
            ("enter",),
            ("escape", "escape", "t"),
            ("escape", "l"),
        ):
            for key in keys:
                await pilot.press(key)
                await settled(app, pilot)
            if app.screen.NAME == "logs":  # type: ignore[attr-defined]
                app.screen.take()  # type: ignore[attr-defined]
            await pilot.press("ctrl+s")
            await pilot.pause()
            said = list(app._notifications)[-1].message.splitlines()
            picture, data = map(Path, said)
            assert picture.read_text().startswith("<svg")
            found[app.screen.NAME] = json.loads(data.read_text())  # type: ignore[attr-defined]
    status = json.loads(msgspec.json.encode(MIXED))
    assert found["overview"] == status
    assert found["node"] == {**status, "rows": [row for row in status["rows"] if row["node"] == "mini-03"]}
    assert found["events"] == []
    assert [run["state"] for run in found["deploy"]["runs"]] == ["going_on", "left", "not_well", "well"]
    assert found["run"] == {"schema": 1, **found["deploy"]["runs"][0]}
    assert [one["id"] for one in found["traffic"]["flow"]["requests"]] == [
        one.id for one in MIXED_TRAFFIC.flow.requests
    ]
    assert found["logs"] == [line.document() for line in lines_of("mixed", ["mini-03"])]


def test_nothing_is_written_over_and_two_of_one_second_have_numbers(tmp_path: Path) -> None:
    first = write_export(tmp_path, "deploy", at=NOW, svg="<svg/>", document={"a": 1})
    second = write_export(tmp_path, "deploy", at=NOW, svg="<svg>2</svg>", document={"a": 2})
    (tmp_path / "deploy-20261122T120000Z-3.json").write_text("somebody's")
    third = write_export(tmp_path, "deploy", at=NOW, svg="<svg>3</svg>", document=None)
    assert [path.name for path in (*first, *second, *third)] == [
        "deploy-20261122T120000Z.svg",
        "deploy-20261122T120000Z.json",
        "deploy-20261122T120000Z-2.svg",
        "deploy-20261122T120000Z-2.json",
        "deploy-20261122T120000Z-4.svg",
    ]
    assert first[0].read_text() == "<svg/>"
    assert first[0].stat().st_mode & 0o077 == 0


def test_no_secret_is_in_a_file(tmp_path: Path) -> None:
    document = [{"line": f"key {KEY}"}]
    for path in write_export(
        tmp_path, "logs", at=NOW, svg=f"<svg><text>key&#160;{KEY}</text></svg>", document=document
    ):
        assert KEY[:20] not in path.read_text()
        assert "***" in path.read_text()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=20), st.lists, max_leaves=5))
def test_a_document_without_secrets_is_what_it_was(document: object) -> None:
    assert json.loads(document_text(document)) == document


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("a file")
    app, _ = whole(MIXED, tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("ctrl+s")
        await pilot.pause()
        last = list(app._notifications)[-1]
        assert (last.title, last.severity) == ("export", "error")
        assert str(tmp_path / "exports") in last.message


async def test_the_palette_has_every_screen_verb_node_and_theme(tmp_path: Path) -> None:
    app, done = whole(MIXED, tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.pause()
        screen = app.screen
        words = {entry.title.split("  ")[0] for entry in Screens(screen).entries()}
        assert {"Events", "Deploys", "Logs", "Export", "Help", "Filter", "Quit", "Theme"} <= words
        assert {entry.title for entry in Verbs(screen).entries()} == {
            f"fleet {verb.word}" for verb in done.verbs if not verb.only_aimed
        }
        nodes = [entry.title for entry in Nodes(screen).entries()]
        assert nodes[0] == "node mini-03  ■ CRIT"
        assert len(nodes) == len(MIXED.rows)
        themes = [entry.title for entry in Themes(screen).entries()]
        assert themes[:2] == ["theme colour-blind-dark", "theme colour-blind-light"]
        assert len(themes) == len(app.available_themes)


async def test_what_is_chosen_in_the_palette_happens(tmp_path: Path) -> None:
    app, _ = whole(MIXED, tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("ctrl+p", *"blind-light")
        for _ in range(3000):  # the palette searches beside the keys
            if app.screen.query_one(CommandList).option_count == 1:
                break
            await pilot.pause(0.02)
        await pilot.press("enter")
        await settled(app, pilot)
        assert app.theme == "colour-blind-light"
        for provider, title, screen in (
            (Screens, "Deploys  (d)", "deploy"),
            (Nodes, "node studio-1  ▲ warn", "node"),
            (Verbs, "fleet drain", "drain"),
        ):
            entry = next(entry for entry in provider(app.screen).entries() if entry.title == title)
            entry.do()
            await settled(app, pilot)
            front = app.screen
            assert (front.NAME if isinstance(front, FleetScreen) else front.query_one("#box").border_title) == screen


async def test_a_look_that_is_old_is_exported_as_it_was_seen(tmp_path: Path) -> None:
    app, _ = whole(MIXED, tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        app.clock.sleep(timedelta(minutes=5).total_seconds())
        await pilot.press("ctrl+s")
        await pilot.pause()
        data = json.loads(Path(list(app._notifications)[-1].message.splitlines()[1]).read_text())
        assert data["at"].startswith("2026-11-22T12:00:00")
    assert Done().ran == []
