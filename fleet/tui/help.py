"""Help: every key that works on the screen beneath, out of the bindings themselves, and what the shapes mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from fleet.control.watch.statewords import AWAY, HEALTH, INTENT
from fleet.tui.keys import Group, Key
from fleet.tui.keys_footer import KeysFooter

_TITLES = {Group.HERE: "this screen", Group.EVERYWHERE: "every screen", Group.ACTION: "actions"}
_KEY_CELLS = 12
_WORD_CELLS = 14


class Help(ModalScreen[None]):
    """Shows the keys that it is given."""

    CSS = """
    Help { align: center middle; }
    #help-box { width: 90%; max-width: 104; height: auto; max-height: 90%; border: round $primary; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Back", id="help.back"),
    ]

    def __init__(self, keys: Sequence[Key], *, title: str, unicode: bool) -> None:
        super().__init__()
        self._text = help_text(keys, unicode=unicode)
        self._title = title

    def compose(self) -> ComposeResult:
        """One text that scrolls."""
        with VerticalScroll(id="help-box"):
            yield Static(self._text, id="help-text")
        yield KeysFooter()

    def on_mount(self) -> None:
        """Arrows scroll at once."""
        box = self.query_one("#help-box")
        box.border_title = self._title
        box.focus()


def help_text(keys: Sequence[Key], *, unicode: bool) -> Text:
    """Keys by where they work, what each does, and the legend of states."""
    text = Text()
    for group, title in _TITLES.items():
        found = [key for key in keys if key.group is group]
        if found:
            text.append(f"{title}\n", style="bold underline")
        for key in found:
            text.append(f"  {key.shown:<{_KEY_CELLS}} ", style="bold")
            says = key.says.split("\n\n")[0]
            text.append(f"{key.word:<{_WORD_CELLS}} " if says else key.word)
            text.append(f"{says}\n", style="dim")
        text.append("\n" if found else "")
    states = [*HEALTH.values(), *AWAY.values(), *INTENT.values()]
    text.append("states\n", style="bold underline")
    return text.append("  " + "  ".join(state.text(unicode=unicode) for state in states))
