"""What each screen looks like, as text that a person can read. `--update-goldens` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App
from traffic_kit import EMPTY_TRAFFIC, HEALTHY_TRAFFIC, MIXED_TRAFFIC, STALE_TRAFFIC, Fronts
from tui_kit import ALL_STALE, EMPTY, EVENTS, HEALTHY, MIXED, Done, Remembered, Written, top

GOLDENS = Path(__file__).parent / "goldens"
SIZES = ((80, 24), (120, 40))
FLEETS = {"healthy": HEALTHY, "mixed": MIXED, "stale": ALL_STALE, "empty": EMPTY}
FRONTS = {"healthy": HEALTHY_TRAFFIC, "mixed": MIXED_TRAFFIC, "stale": STALE_TRAFFIC, "empty": EMPTY_TRAFFIC}
SCREENS = {"overview": (), "node": ("enter",), "events": ("e",), "traffic": ("t",), "drain": ("D",)}
KILL = ("t", *["tab"] * 4, "K")


def seen(app: App[None]) -> str:
    """The whole screen without its colours."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips) + "\n"


async def looked_at(fleet: str, keys: tuple[str, ...], size: tuple[int, int], *, unicode: bool = True) -> str:
    written = Written(*EVENTS) if fleet == "mixed" else Written()
    traffic = Fronts(FRONTS[fleet])
    app, _ = top(FLEETS[fleet], history=Remembered(), told=written, actions=Done(), traffic=traffic, unicode=unicode)
    async with app.run_test(size=size) as pilot:
        app.tick()
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        return seen(app)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("fleet", FLEETS)
@pytest.mark.parametrize("screen", ["overview", "node", "events", "traffic"])
async def test_a_screen_looks_as_it_did(
    screen: str, fleet: str, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    text = await looked_at(fleet, SCREENS[screen], size)
    held(GOLDENS / f"{screen}-{fleet}-{size[0]}x{size[1]}.txt", text, request)


async def test_the_box_before_an_action_looks_as_it_did(request: pytest.FixtureRequest) -> None:
    held(GOLDENS / "drain-mixed-80x24.txt", await looked_at("mixed", SCREENS["drain"], SIZES[0]), request)


async def test_the_box_before_a_request_is_ended_looks_as_it_did(request: pytest.FixtureRequest) -> None:
    held(GOLDENS / "kill-mixed-80x24.txt", await looked_at("mixed", KILL, SIZES[0]), request)


@pytest.mark.parametrize("screen", SCREENS)
async def test_without_colour_and_unicode_shapes_and_words_are_left(
    screen: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = await looked_at("mixed", SCREENS[screen], SIZES[0], unicode=False)
    held(GOLDENS / f"{screen}-mixed-80x24-ascii.txt", text, request)


def held(golden: Path, text: str, request: pytest.FixtureRequest) -> None:
    """The text is that of the golden."""
    if request.config.getoption("--update-goldens"):
        golden.write_text(text)
    assert text == golden.read_text()
