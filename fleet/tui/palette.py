"""The command palette: what can be opened, done, found and worn. Entries are made of the same keys that help shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.types import IgnoreReturnCallbackType

from fleet.control.watch.roworder import Order
from fleet.control.watch.statewords import told
from fleet.tui.fleet_screen import FleetScreen
from fleet.tui.keys import ACT, Group

if TYPE_CHECKING:
    from fleet.tui.app import FleetTop

_SHOWN_AT_ONCE = 5


class Entry(NamedTuple):
    """What the palette offers, in one line, and what it says of it."""

    title: str
    says: str
    do: IgnoreReturnCallbackType


class FleetProvider(Provider):
    """Entries of one kind. `AT_ONCE` are shown before anything is typed; None = all of them."""

    AT_ONCE: ClassVar[int | None] = None

    @property
    def top(self) -> FleetTop:
        """The application."""
        return cast("FleetTop", self.app)

    def entries(self) -> Iterable[Entry]:
        """What there is now."""
        raise NotImplementedError

    async def discover(self) -> Hits:
        """See Provider."""
        for number, entry in enumerate(self.entries()):
            if self.AT_ONCE is not None and number >= self.AT_ONCE:
                return
            yield DiscoveryHit(entry.title, entry.do, help=entry.says)

    async def search(self, query: str) -> Hits:
        """See Provider. What an entry says of itself is searched as well, and counts less."""
        matcher = self.matcher(query)
        for entry in self.entries():
            score = max(matcher.match(entry.title), matcher.match(entry.says) / 2)
            if score > 0:
                yield Hit(score, matcher.highlight(entry.title), entry.do, help=entry.says)


class Screens(FleetProvider):
    """What keys do that change nothing on nodes: every screen, help, export, quit."""

    def entries(self) -> Iterator[Entry]:
        """See FleetProvider."""
        for key in self.top.keys_now(self.screen):
            if key.group is not Group.ACTION and not key.action.startswith(ACT):
                yield Entry(f"{key.word}  ({key.shown})", key.says, partial(self.top.simulate_key, key.press))


class Verbs(FleetProvider):
    """Verbs of the command line that work here. There is none with --read-only."""

    def entries(self) -> Iterator[Entry]:
        """See FleetProvider."""
        front: object = self.screen
        if not isinstance(front, FleetScreen) or self.top.actions is None:
            return
        for verb in self.top.actions.verbs:
            if front.offers(verb):
                said = next(iter(verb.says.splitlines()), "")
                yield Entry(f"fleet {verb.word}", said, partial(self.top.action_act, verb.word))


class Nodes(FleetProvider):
    """Every node, the sickest first."""

    AT_ONCE = _SHOWN_AT_ONCE

    def entries(self) -> Iterator[Entry]:
        """See FleetProvider."""
        for one in self.top.board.in_order(Order()):
            row = one.row
            state = told(row).text(unicode=self.top.unicode)
            yield Entry(f"node {row.node}  {state}", row.problem or "", partial(self.top.open_node, row.node))


class Themes(FleetProvider):
    """Every theme, the colour-blind pair first."""

    AT_ONCE = 2

    def entries(self) -> Iterator[Entry]:
        """See FleetProvider."""
        names = sorted(self.top.available_themes, key=lambda name: (not name.startswith("colour-blind"), name))
        for name in names:
            yield Entry(f"theme {name}", "", partial(setattr, self.top, "theme", name))


PROVIDERS: frozenset[type[Provider]] = frozenset({Screens, Verbs, Nodes, Themes})
