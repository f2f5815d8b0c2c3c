"""One screen in the terminal that run.py plays: `python -m bench.top.screen KIND FEED [NODES MODE-FILE]`.

KIND: `top` or `table`. FEED `polled`: over the project in the current folder, as `fleet top` itself; `alone`: over
views that were made before, 30 % of whose cells move each second, so that the screen's own cost is seen.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import click
from textual.app import App

from bench.top.datatable import Table
from bench.top.moving import states
from fleet.control.watch.rows import Seen, Sighting, view_of
from fleet.control.watch.view import FleetView, Reach
from fleet.tui.app import FleetTop
from fleet.tui.source import Polled, Source
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.names import NodeName

MOVING = 0.3


class Prepared:
    """A source of views that are there: each question is a second's."""

    problem = ""

    def __init__(self, views: list[FleetView], mode: Path) -> None:
        self._views, self._mode, self._at = views, mode, 0

    @property
    def newest(self) -> FleetView:
        """The view of this second."""
        if self._mode.read_text() == "A":
            self._at += 1
        return self._views[self._at % len(self._views)]

    def start(self) -> None:
        """See Source."""

    def stop(self) -> None:
        """See Source."""


def prepared(nodes: int, mode: Path) -> Prepared:
    """Views of so many nodes."""
    return Prepared([_view(one) for one in states(nodes, moving=MOVING, at_seconds=time.time())], mode)


def _view(snapshots: tuple[Snapshot, ...]) -> FleetView:
    now = datetime.now(UTC)
    found = {
        NodeName(one.node): Sighting(
            node=NodeName(one.node), reach=Reach.ANSWERED, seen=Seen(at=now, snapshot=one), via=""
        )
        for one in snapshots
    }
    nodes = [SimpleNamespace(name=name, groups=("mlx",)) for name in found]
    return view_of(nodes, found, {}, now)


def _app(kind: str, source: Source) -> App[None]:
    return FleetTop(source, clock=SystemClock()) if kind == "top" else Table(source)


def main() -> None:
    """Run the screen that is named."""
    kind, feed = sys.argv[1:3]
    if feed == "alone":
        _app(kind, prepared(int(sys.argv[3]), Path(sys.argv[4]))).run()
    elif kind == "top":
        from fleet.cli.start import main as fleet

        sys.argv = ["fleet", "top"]
        fleet()
    else:
        from fleet.cli.watching import watching

        ctx = click.Context(click.Command("table"), obj={"inventory": None, "overrides": ()})
        with watching(ctx, on=None, via=None, playbook="site.yml", timeout_seconds=5.0) as watcher:
            _app(kind, Polled(watcher)).run()


if __name__ == "__main__":
    main()
