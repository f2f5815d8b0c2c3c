"""Tones as styles: one table per theme. Shape and word say the same, so NO_COLOR loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rich.style import Style
from textual.theme import Theme

from fleet.control.watch.statewords import Tone

COMMON = MappingProxyType(
    {
        "header": Style(bold=True, dim=True),
        "bold": Style(bold=True),
        "marked": Style(bold=True, underline=True),
        Tone.PLAIN.value: Style(),
        "": Style(),
        Tone.DIM.value: Style(dim=True),
    }
)
_LIGHT = frozenset({"textual-light", "solarized-light", "catppuccin-latte", "colour-blind-light", "rose-pine-dawn"})
_USUAL = {
    Tone.OK: "green",
    Tone.WARN: "yellow",
    Tone.CRITICAL: "bold red",
    Tone.UNKNOWN: "cyan",
    Tone.INTENT: "blue",
    Tone.NEW: "magenta",
}
_BLIND = {
    Tone.OK: "#56b4e9",
    Tone.WARN: "#f0e442",
    Tone.CRITICAL: "bold #d55e00",
    Tone.UNKNOWN: "#999999",
    Tone.INTENT: "#cc79a7",
    Tone.NEW: "#e69f00",
}
"""Okabe and Ito's colours, which people with any kind of colour blindness tell apart."""
_BLIND_ON_LIGHT = {
    Tone.OK: "#0072b2",
    Tone.WARN: "#7a5c00",
    Tone.CRITICAL: "bold #a84300",
    Tone.UNKNOWN: "#5c5c5c",
    Tone.INTENT: "#8f4a73",
    Tone.NEW: "#8a5a00",
}
"""The same on a light ground, as dark as text must be to be read there."""

COLOUR_BLIND_THEMES = (
    Theme(
        name="colour-blind-dark", primary="#56b4e9", secondary="#e69f00", warning="#f0e442", error="#d55e00",
        success="#009e73", accent="#cc79a7", dark=True,
    ),
    Theme(
        name="colour-blind-light", primary="#0072b2", secondary="#e69f00", warning="#b88700", error="#d55e00",
        success="#009e73", accent="#cc79a7", dark=False,
    ),
)  # fmt: skip


def styles_of(theme: str, *, colour: bool) -> Callable[[str], Style]:
    """What gives the style of a name under a theme. Without `colour` only bold, dim and reverse are left."""
    table: dict[str, Style] = dict(COMMON)
    ground = "on grey82" if theme in _LIGHT else "on grey27"
    table["cursor"] = Style.parse(ground) if colour else Style(reverse=True)
    words: Mapping[Tone, str] = _BLIND_ON_LIGHT if theme == "colour-blind-light" else _BLIND
    words = words if theme.startswith("colour-blind") else _USUAL
    for tone, word in words.items():
        style = Style.parse(word)
        table[tone.value] = style if colour else Style(bold=style.bold)
    nothing = Style()
    return lambda name: table.get(name, nothing)
