"""The box before an action: the command that will run, what that verb says of itself, and which nodes it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from fleet.control.watch.statewords import told
from fleet.control.watch.view import NodeRow
from fleet.tui.actions import Verb, command_text
from fleet.tui.fleet_screen import Aim
from fleet.tui.keys_footer import KeysFooter


class Confirm(ModalScreen["tuple[str, ...] | None"]):
    """Gives the words to run after `fleet`, or None. What the screen aims a verb at need not be typed."""

    CSS = """
    Confirm { align: center middle; }
    #box { width: 90%; max-width: 100; height: auto; max-height: 90%; border: round $primary; padding: 0 1; }
    #box VerticalScroll { height: auto; max-height: 16; }
    #command { text-style: bold; }
    #asked { border: none; height: 1; margin: 0 0 1 0; }
    """
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "do", "Do it", id="confirm.yes"),
        Binding("n,escape", "leave", "Leave it", id="confirm.no"),
    ]

    def __init__(self, verb: Verb, rows: Sequence[NodeRow], *, unicode: bool, aim: Aim = Aim()) -> None:  # noqa: B008 (frozen)
        super().__init__()
        self._verb = verb
        self._rows = rows
        self._aim = aim
        self._unicode = unicode

    @property
    def argv(self) -> tuple[str, ...]:
        """What would run."""
        asked = self.query_one("#asked", Input).value.strip() if self._verb.asks else ""
        return self._verb.argv([row.node for row in self._rows], asked)

    def compose(self) -> ComposeResult:
        """The command first: it is the plan."""
        with Vertical(id="box"):
            yield Static(id="command")
            if self._verb.asks:
                yield Input(self._aim.word, id="asked", placeholder=self._verb.asks, compact=True)
            with VerticalScroll(can_focus=False):
                yield Static(Text(f"\n{self._verb.says}\n"), id="says")
                yield Static(Text("\n".join(self._about())), id="about")
        yield KeysFooter()

    def on_mount(self) -> None:
        """Show the command, and ask for what is not known yet."""
        self.query_one("#box").border_title = self._verb.word
        self._show()
        if self._verb.asks and not self._aim.word:
            self.query_one("#asked", Input).focus()

    def on_input_changed(self) -> None:
        """The command grows while it is typed."""
        self._show()

    def on_input_submitted(self) -> None:
        """It is typed: y and n are answers from now on."""
        self.set_focus(None)

    def action_do(self) -> None:
        """Give the words. Without what was asked for there is nothing to do yet."""
        if self._verb.asks and not self.query_one("#asked", Input).value.strip():
            self.query_one("#asked", Input).focus()
            return
        self.dismiss(self.argv)

    def action_leave(self) -> None:
        """Give nothing."""
        self.dismiss(None)

    def _show(self) -> None:
        self.query_one("#command", Static).update(Text(f"$ {command_text(self.argv)}"))

    def _about(self) -> list[str]:
        if not self._verb.about_nodes:
            return self._aim.says.split("\n")
        lines = []
        for row in self._rows:
            runs = "" if row.in_flight is None else f"  {row.in_flight} in flight"
            lines.append(f"{row.node}  {told(row).text(unicode=self._unicode)}{runs}")
        return lines
