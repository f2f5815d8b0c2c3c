"""What was closed is gone: a screen that is open for days holds on to nothing that was once on it."""

from __future__ import annotations

import gc

import pytest
from textual._styles_cache import StylesCache
from textual.widget import Widget

from tests.tui.tui_kit import EVENTS, MIXED, Done, Remembered, Written, top

TIMES = 4
PATIENCE = 100
"""Looks, until what was closed is gone: that takes its time on a busy machine."""
WAYS = (("enter", "escape"), ("e", "escape"), ("D", "n"), ("slash", "m", "backspace", "enter", "escape"))


def widgets() -> int:
    """How many widgets there are, shown or not, and what is kept of their painted lines."""
    gc.collect()
    return sum(1 for one in gc.get_objects() if isinstance(one, Widget | StylesCache))


@pytest.mark.long
async def test_what_is_opened_and_closed_again_and_again_leaves_no_widget() -> None:
    app, _ = top(MIXED, history=Remembered(), told=Written(*EVENTS), actions=Done())
    async with app.run_test(size=(120, 40)) as pilot:
        app.tick()
        left = []
        for keys in WAYS:
            await pilot.press(*keys)
            await pilot.pause()
            before = widgets()
            await pilot.press(*keys * TIMES)
            for _ in range(PATIENCE):
                await pilot.pause(0.1)
                if (more := widgets() - before) < TIMES:
                    break
            left.append(more)
        assert all(more < TIMES for more in left), left
