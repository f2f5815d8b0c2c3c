"""Keys told once: the footer keeps whole words and the actions, help tells all, and ASCII is ASCII."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.widgets import Static
from tui_kit import EVENTS, MIXED, Done, Remembered, Written, top

from fleet.cli.topactions import VERBS
from fleet.tui.ascii import ascii_text
from fleet.tui.help import Help
from fleet.tui.keys import Group, Key, footer_lines
from fleet.tui.keys_footer import KeysFooter

HELP = Key(press="question_mark", shown="?", word="Help", says="", group=Group.EVERYWHERE, id="app.help")
WORDS = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=14)
KEYS = st.lists(
    st.builds(
        Key,
        press=st.just("x"),
        shown=st.sampled_from(["x", "⏎", "space", "^s"]),
        word=WORDS,
        says=st.just(""),
        group=st.sampled_from(Group),
        kept=st.booleans(),
    ),
    max_size=24,
)


@given(KEYS, st.integers(10, 200))
def test_a_footer_is_never_wider_than_its_screen_and_always_tells_help(keys: list[Key], width: int) -> None:
    lines = footer_lines([*keys, HELP], width)
    assert 1 <= len(lines) <= 2
    for between, shown in lines:
        assert sum(key.cells for key in shown) + len(between) * max(0, len(shown) - 1) <= width
    assert HELP in [key for _, shown in lines for key in shown]


async def test_at_80_columns_no_action_is_missing_and_no_word_is_cut() -> None:
    app, _ = top(MIXED, actions=Done(), told=Written(*EVENTS), history=Remembered())
    async with app.run_test(size=(80, 24)) as pilot:
        app.tick()
        for opens in ((), ("enter",), ("escape", "e")):
            await pilot.press(*opens)
            await pilot.pause()
            footer = app.screen.query_one(KeysFooter)
            said = str(footer.render()).splitlines()
            assert all(len(line) <= 78 for line in said)
            assert said[-1].split("  ")[-1].endswith("ssh")
            for verb in VERBS:
                assert verb.only_aimed or (f" {verb.word}" in said[-1]) is not bool(verb.asks)
            assert "? Help" in said[0]


async def test_a_click_on_a_key_of_the_footer_presses_it() -> None:
    app, _ = top(MIXED, actions=Done())
    async with app.run_test(size=(80, 24)) as pilot:
        app.tick()
        await pilot.pause()
        line = str(app.screen.query_one(KeysFooter).render()).splitlines()[0]
        await pilot.click(KeysFooter, offset=(1 + line.index("? Help"), 0))
        await pilot.pause()
        assert isinstance(app.screen, Help)


async def test_help_tells_every_key_that_works_and_what_a_verb_says_of_itself() -> None:
    app, _ = top(MIXED, actions=Done(), told=Written())
    async with app.run_test(size=(100, 40)) as pilot:
        app.tick()
        await pilot.pause()
        keys = app.keys_now(app.screen)
        await pilot.press("question_mark")
        await pilot.pause()
        said = str(app.screen.query_one("#help-text", Static).content)
        for key in keys:
            assert key.shown in said
            assert key.word in said
        assert "Give the models of NODE no new work" in said
        assert "■ CRIT" in said
        await pilot.press("escape")
        assert not isinstance(app.screen, Help)


@given(st.text(max_size=60))
def test_ascii_is_as_wide_as_what_it_stands_for(text: str) -> None:
    said = ascii_text(text)
    assert said.isascii()
    if text.isprintable():
        assert cell_len(said) == cell_len(text)


@pytest.mark.parametrize("keys", [(), ("enter",), ("e",), ("D",), ("question_mark",), ("ctrl+p",)])
async def test_without_utf_8_every_sign_on_the_screen_is_ascii(keys: tuple[str, ...]) -> None:
    app, _ = top(MIXED, unicode=False, actions=Done(), told=Written(*EVENTS), history=Remembered())
    async with app.run_test(size=(100, 30)) as pilot:
        app.tick()
        await pilot.press(*keys)
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
        odd = {sign for strip in strips for segment in strip for sign in segment.text if not sign.isascii()}
        assert not odd
