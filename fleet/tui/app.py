"""The application: takes the newest view once a second, and gives it to the screen in front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.filter import LineFilter
from textual.screen import Screen
from textual.signal import Signal

from fleet.control.watch.view import FleetView
from fleet.tui.actions import Actions, Verb, command_text
from fleet.tui.ascii import AsciiOnly
from fleet.tui.board import Board
from fleet.tui.confirm import Confirm
from fleet.tui.events_screen import EventsScreen, Told
from fleet.tui.export import write_export
from fleet.tui.fleet_screen import Aim, FleetScreen
from fleet.tui.help import Help
from fleet.tui.keys import Key, ascii_key, keys_of
from fleet.tui.node_screen import History, NodeScreen
from fleet.tui.overview_screen import OverviewScreen
from fleet.tui.palette import PROVIDERS
from fleet.tui.rows_screen import RowsScreen
from fleet.tui.source import Source
from fleet.tui.tones import COLOUR_BLIND_THEMES
from fleet.tui.traffic_screen import TrafficScreen
from fleet.tui.traffic_source import TrafficSource
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName

if TYPE_CHECKING:
    from fleet.control.actions.runlist import RunList
    from fleet.tui.logs_screen import LogsOf

_TICK_SECONDS = 1.0
_DONE_SECONDS = 8.0
_FAILED_SECONDS = 30.0
_OPENS: Mapping[str, str] = MappingProxyType(
    {"events": "events", "traffic": "traffic", "deploys": "deploy", "logs": "logs"}
)
"""What opens a screen, and the name of that."""


class FleetTop(App[None]):
    """`fleet top`. Built without I/O: the source looks at the fleet, the clock says what time it is.

    Without `actions` the screen is for reading: there is no key and no entry of the palette that changes anything. A
    screen has its key where what it shows is given: `told`, `traffic`, `runs`, `logs`. `exports` is a folder for files.
    """

    TITLE = "fleet top"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = set(PROVIDERS)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "events", "Events", tooltip="What went wrong, since when, for how long", id="app.events"),
        Binding("t", "traffic", "Traffic", tooltip="Money, gray routes, upstreams, requests", id="app.traffic"),
        Binding("d", "deploys", "Deploys", tooltip="Runs: going on, left, past; each a row per node", id="app.deploys"),
        Binding("l", "logs", "Logs", tooltip="Of the marked nodes, else of the one under the cursor", id="app.logs"),
        Binding("ctrl+s", "export", "Export", tooltip="This screen as SVG and JSON, into files", id="app.export"),
        Binding("q", "quit", "Quit", tooltip="Leave", id="app.quit"),
        Binding("question_mark", "help", "Help", tooltip="Every key of this screen", id="app.help"),
        Binding("T", "next_theme", "Theme", tooltip="The next theme", show=False, id="app.theme"),
    ]

    def __init__(
        self,
        source: Source,
        *,
        clock: Clock,
        history: History | None = None,
        told: Told | None = None,
        traffic: TrafficSource | None = None,
        runs: Callable[[], RunList] | None = None,
        logs: LogsOf | None = None,
        exports: Path | None = None,
        actions: Actions | None = None,
        unicode: bool = True,
    ) -> None:
        super().__init__()
        self.board = Board()
        self.clock = clock
        self.unicode = unicode
        self.source = source
        self.history = history
        self.told = told
        self.traffic = traffic
        self.runs = runs
        self.logs = logs
        self.exports = exports
        self.looked: Signal[FleetView | None] = Signal(self, "looked")
        for theme in COLOUR_BLIND_THEMES:
            self.register_theme(theme)
        self.actions = actions
        self._ascii = () if unicode else (AsciiOnly(),)
        for verb in actions.verbs if actions else ():
            self.bind(verb.key, _act(verb), description=verb.word)

    def on_mount(self) -> None:
        """Begin to look."""
        self.push_screen(
            OverviewScreen(self.board, clock=self.clock, unicode=self.unicode, looked=self.looked, traffic=self.traffic)
        )
        self.source.start()
        if self.traffic is not None:
            self.traffic.start()
        self.set_interval(_TICK_SECONDS, self.tick)

    def on_unmount(self) -> None:
        """Look no more."""
        self.source.stop()
        if self.traffic is not None:
            self.traffic.stop()

    def tick(self) -> None:
        """Take what is newest. Screens that are not in front hear of it, too, and do nothing."""
        view = self.source.newest
        if view is not None:
            self.board.take(view)
        self.board.problem = self.source.problem
        self.looked.publish(view)

    def on_lines_chosen(self) -> None:
        """Open a node: that of the row, or of the event, under the cursor."""
        node = self.screen.under_cursor if isinstance(self.screen, RowsScreen) else None
        if node is not None:
            self.open_node(node)

    def open_node(self, node: NodeName) -> None:
        """Show one node."""
        screen = NodeScreen(
            node,
            self.board,
            clock=self.clock,
            unicode=self.unicode,
            looked=self.looked,
            history=self.history,
        )
        self.push_screen(screen)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's, and ASCII alone where the terminal has no more."""
        return (*super().get_line_filters(), *self._ascii)

    def get_key_display(self, binding: Binding) -> str:
        """A sign where the terminal has it."""
        shown = super().get_key_display(binding)
        return shown if self.unicode else ascii_key(shown)

    def keys_now(self, screen: Screen[Any]) -> list[Key]:
        """The keys that work on a screen now, and which of them its foot has."""
        verbs = self.actions.verbs if self.actions else ()
        says = {_act(verb): verb.says for verb in verbs}
        keys = keys_of(screen.active_bindings.values(), shown=self.get_key_display, everywhere=self, says=says)
        if not isinstance(screen, FleetScreen):
            return keys
        left_out = {_act(verb) for verb in verbs if not screen.foots(verb)}
        return [key._replace(kept=key.kept and key.action not in left_out) for key in keys]

    def action_help(self) -> None:
        """Every key of the screen in front."""
        if isinstance(self.screen, FleetScreen):
            self.push_screen(Help(self.keys_now(self.screen), title=self.screen.NAME, unicode=self.unicode))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A screen is offered where there is what it shows, and once; a verb where it would be about something."""
        if action in _OPENS:
            given = {"events": self.told, "traffic": self.traffic, "deploys": self.runs, "logs": self.logs}[action]
            return given is not None and not any(
                isinstance(one, FleetScreen) and _OPENS[action] == one.NAME for one in self.screen_stack
            )
        if action == "export":
            return self.exports is not None and isinstance(self.screen, FleetScreen)
        if action == "act" and isinstance(self.screen, FleetScreen):
            verbs = self.actions.verbs if self.actions else ()
            return any(verb.word == parameters[0] and self.screen.offers(verb) for verb in verbs)
        return super().check_action(action, parameters)

    def action_events(self) -> None:
        """Show what went wrong."""
        if self.told is not None:
            screen = EventsScreen(
                self.board, clock=self.clock, unicode=self.unicode, looked=self.looked, told=self.told
            )
            self.push_screen(screen)

    def action_traffic(self) -> None:
        """Show what the fronts say."""
        if self.traffic is not None:
            screen = TrafficScreen(
                self.board, clock=self.clock, unicode=self.unicode, looked=self.looked, traffic=self.traffic
            )
            self.push_screen(screen)

    def action_deploys(self) -> None:
        """Show the runs."""
        if self.runs is not None:
            from fleet.tui.runs_screen import RunsScreen  # here: it brings what deploys along, 5 MB of it

            screen = RunsScreen(
                self.board, clock=self.clock, unicode=self.unicode, looked=self.looked, runs=self.runs()
            )
            self.push_screen(screen)

    def action_logs(self) -> None:
        """Show the logs of what the screen is aimed at."""
        from fleet.control.actions.logs import AT_ONCE
        from fleet.tui.logs_screen import LogsScreen

        nodes = self.screen.aimed_at if isinstance(self.screen, FleetScreen) else ()
        if self.logs is None or not nodes:
            self.notify("logs: there is no node here", severity="warning")
        elif len(nodes) > AT_ONCE:
            self.notify(f"logs: of {AT_ONCE} nodes at once, and {len(nodes)} are marked", severity="warning")
        else:
            screen = LogsScreen(
                nodes, self.board, clock=self.clock, unicode=self.unicode, looked=self.looked, logs=self.logs
            )
            self.push_screen(screen)

    def action_export(self) -> None:
        """Write what the screen shows into files, and say where they are."""
        screen = self.screen
        if self.exports is None or not isinstance(screen, FleetScreen):
            return
        svg = self.export_screenshot(title=f"fleet top: {screen.NAME}")
        try:
            paths = write_export(self.exports, screen.NAME, at=self.clock.now(), svg=svg, document=screen.document())
        except OSError as error:
            self.notify(f"{self.exports}: {error.strerror or error}", title="export", severity="error", markup=False)
            return
        self.notify("\n".join(map(str, paths)), title="written", timeout=_DONE_SECONDS, markup=False)

    def action_act(self, word: str) -> None:
        """Ask whether the verb shall run about what the screen is aimed at; a verb that asks by itself just begins."""
        screen, actions = self.screen, self.actions
        verb = next((one for one in actions.verbs if one.word == word), None) if actions else None
        if actions is None or verb is None or not isinstance(screen, FleetScreen):
            return
        rows = [found.row for node in screen.aimed_at if (found := self.board.row(node))] if verb.about_nodes else []
        if verb.about_nodes and not rows:
            self.notify(f"{verb.word}: there is no node here", severity="warning")
        elif verb.one_node and len(rows) > 1:
            self.notify(f"{verb.word}: one node at a time, and {len(rows)} are marked", severity="warning")
        elif verb.in_terminal and not verb.asks:
            self._in_terminal(actions, verb.argv([row.node for row in rows]))
        else:
            aim = screen.aim(word) if verb.asks else Aim()
            self.push_screen(Confirm(verb, rows, aim=aim, unicode=self.unicode), partial(self._answered, actions, verb))

    def _answered(self, actions: Actions, verb: Verb, argv: tuple[str, ...] | None) -> None:
        if argv is not None and verb.in_terminal:
            self._in_terminal(actions, argv)
        elif argv is not None:
            self.notify("runs", title=command_text(argv), timeout=3, markup=False)
            self.run_worker(partial(self._run_verb, actions, argv), thread=True, group="actions", exit_on_error=False)

    def _run_verb(self, actions: Actions, argv: tuple[str, ...]) -> None:
        """In a thread."""
        outcome = actions.run(argv)
        if self.traffic is not None:
            self.traffic.soon()
        failed = outcome.exit_code != 0
        said = outcome.text or ("it failed and said nothing" if failed else "done")
        self.call_from_thread(
            self.notify,
            said,
            title=command_text(argv) + (f": exit code {outcome.exit_code}" if failed else ""),
            severity="error" if failed else "information",
            timeout=_FAILED_SECONDS if failed else _DONE_SECONDS,
            markup=False,
        )

    def _in_terminal(self, actions: Actions, argv: tuple[str, ...]) -> None:
        try:
            with self.suspend():
                actions.in_terminal(argv)
        except SuspendNotSupported:
            self.notify("this terminal cannot be lent", title=command_text(argv), severity="error", markup=False)
            return
        self.refresh(repaint=True)

    def action_next_theme(self) -> None:
        """The next theme; the colour-blind pair is among them."""
        names = sorted(self.available_themes)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]


def _act(verb: Verb) -> str:
    return f"act({verb.word!r})"
