"""The colours of states can be read: on their own ground, and on that of the cursor."""

from __future__ import annotations

import pytest
from rich.color import Color, ColorTriplet

from fleet.control.watch.statewords import Tone
from fleet.tui.tones import styles_of

_LEAST = 3.0
"""WCAG 2 asks so much of large text and of signs; a state has a shape and a word as well."""
_GROUNDS = {"colour-blind-dark": "#121212", "colour-blind-light": "#efefef"}
_SAYING = (Tone.OK, Tone.WARN, Tone.UNKNOWN, Tone.INTENT, Tone.NEW)


def light(colour: ColorTriplet) -> float:
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(one: Color, other: Color) -> float:
    dark, bright = sorted((light(one.get_truecolor()), light(other.get_truecolor())))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", _GROUNDS)
@pytest.mark.parametrize("tone", [*_SAYING, Tone.CRITICAL])
def test_a_colour_can_be_read_on_its_ground_and_under_the_cursor(theme: str, tone: Tone) -> None:
    style = styles_of(theme, colour=True)
    said, cursor = style(tone.value).color, style("cursor").bgcolor
    assert said is not None
    assert cursor is not None
    assert contrast(said, Color.parse(_GROUNDS[theme])) >= _LEAST
    assert contrast(said, cursor) >= (_LEAST if tone in _SAYING else 2.5), "what is critical is bold as well"


@pytest.mark.parametrize("theme", _GROUNDS)
def test_no_two_states_have_one_colour(theme: str) -> None:
    style = styles_of(theme, colour=True)
    colours = [style(tone.value).color for tone in (*_SAYING, Tone.CRITICAL)]
    assert len(set(colours)) == len(colours)
