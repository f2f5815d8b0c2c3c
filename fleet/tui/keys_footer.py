"""The footer: the keys that work now, whole words only, the actions never cut. A click is a press."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import RenderResult
from textual.events import Click
from textual.screen import Screen
from textual.widget import Widget

from fleet.tui.keys import Key, footer_lines


class KeysFooter(Widget, can_focus=False):
    """As high as it must be: one line, or two where the actions need one of their own."""

    DEFAULT_CSS = """
    KeysFooter {
        dock: bottom; height: 1; padding: 0 1;
        background: $footer-background; color: $footer-description-foreground;
        .keys-footer--key { color: $footer-key-foreground; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys-footer--key"}
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._laid: list[tuple[str, list[Key]]] = []

    def on_mount(self) -> None:
        """Hear of bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self._lay()

    def on_resize(self) -> None:
        """Another width."""
        self._lay()

    def on_click(self, event: Click) -> None:
        """Press what is under the mouse."""
        key = event.style.meta.get("key")
        if isinstance(key, str):
            self.app.simulate_key(key)

    def render(self) -> RenderResult:
        """The lines."""
        style = self.get_component_rich_style("keys-footer--key", partial=True)
        lines = []
        for between, keys in self._laid:
            line = Text(no_wrap=True, end="")
            for number, key in enumerate(keys):
                line.append(between if number else "").append_text(_text(key, style))
            lines.append(line)
        return Text("\n").join(lines)

    def _changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen:
            self._lay()

    def _lay(self) -> None:
        lines = self._lines()
        if lines == self._laid:
            return
        self._laid = lines
        height = max(1, len(lines))
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        self.refresh()

    def _lines(self) -> list[tuple[str, list[Key]]]:
        found = getattr(self.app, "keys_now", None)
        return footer_lines(found(self.screen), max(1, self.size.width)) if found else []


def _text(key: Key, style: Style) -> Text:
    meta = Style(meta={"key": key.press})
    return Text.assemble((key.shown, style + meta), (f" {key.word}", meta))
