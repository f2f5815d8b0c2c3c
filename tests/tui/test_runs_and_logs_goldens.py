"""What runs, one run, logs and help look like, as text that a person can read. `--update-goldens` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs_kit import FakeLogs, Room, lines_of, whole
from test_top_goldens import FLEETS, GOLDENS, SIZES, held, seen

SCREENS = {"deploy": ("d",), "run": ("d", "enter"), "logs": ("space", "space", "space", "l")}


async def looked_at(screen: str, fleet: str, size: tuple[int, int], folder: Path, *, unicode: bool = True) -> str:
    room = Room(folder)
    view = FLEETS["healthy" if screen == "logs" and fleet == "empty" else fleet]
    nodes = [row.node for row in view.rows][:3] or ["mini-01"]
    app, _ = whole(view, folder, runs=room.of(fleet), logs=FakeLogs(lines_of(fleet, nodes)), unicode=unicode)
    async with app.run_test(size=size) as pilot:
        app.tick()
        await pilot.pause()
        for key in SCREENS[screen]:
            await pilot.press(key)
            await pilot.pause()
            await app.workers.wait_for_complete()
            await pilot.pause()
        if screen == "logs":
            app.screen.take()  # type: ignore[attr-defined]
        await pilot.pause()
        return seen(app)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("fleet", FLEETS)
@pytest.mark.parametrize("screen", ["deploy", "logs"])
async def test_a_screen_looks_as_it_did(
    screen: str, fleet: str, size: tuple[int, int], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    text = await looked_at(screen, fleet, size, tmp_path)
    held(GOLDENS / f"{screen}-{fleet}-{size[0]}x{size[1]}.txt", text, request)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_one_run_looks_as_it_did(size: tuple[int, int], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    held(GOLDENS / f"run-mixed-{size[0]}x{size[1]}.txt", await looked_at("run", "mixed", size, tmp_path), request)


@pytest.mark.parametrize("screen", SCREENS)
async def test_without_colour_and_unicode_shapes_and_words_are_left(
    screen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = await looked_at(screen, "mixed", SIZES[0], tmp_path, unicode=False)
    assert text.isascii()
    held(GOLDENS / f"{screen}-mixed-80x24-ascii.txt", text, request)
