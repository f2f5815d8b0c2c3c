"""What `fleet status` and `fleet top` share: a watcher over the nodes of this call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fleet.cli.context import link_to, overrides_of, project_of, selected
from fleet.control.inventory import load_inventory
from fleet.control.watch.backfill import Backfill
from fleet.control.watch.book import HealthBook
from fleet.control.watch.laptop import OwnNetwork, Wakes
from fleet.control.watch.poll import Poller
from fleet.control.watch.seen import SeenFiles
from fleet.control.watch.seriesfiles import SeriesFiles
from fleet.control.watch.token import agent_token, gateway_key
from fleet.control.watch.viafront import DIRECT_NODES, Asker, ThroughFront
from fleet.control.watch.watcher import Watcher
from fleet.errors import UsageError
from fleet.vocabulary.clock import SystemClock

if TYPE_CHECKING:
    from fleet.control.inventory import Node

DIRECT = "direct"
_WRITTEN_SECONDS = 60.0
"""How old the file of a node may get while somebody watches."""


@contextmanager
def watching(
    ctx: click.Context, *, on: str | None, via: str | None, playbook: str, timeout_seconds: float
) -> Iterator[Watcher]:
    """A watcher over the nodes that `on` means, each asked itself or through a front; every session ends with it.

    Raises ConfigError, UsageError.
    """
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    nodes = selected(project, inventory, on)
    if not nodes:
        raise UsageError(f"no node fits {on!r}", hint="fleet inventory list shows the nodes")
    link = link_to(project, inventory)
    clock = SystemClock()
    token_for, key_for, base = agent_token(project), gateway_key(project), project.root
    poller: Asker = Poller(
        link, token_for=token_for, key_for=key_for, clock=clock, timeout_seconds=timeout_seconds, base=base
    )
    if via is not None or len(nodes) > DIRECT_NODES:
        fronts: tuple[Node, ...] = ()
        if via != DIRECT:
            from fleet.cli.statusfronts import fronts_to_ask

            fronts = fronts_to_ask(project, inventory, via, playbook)
        poller = ThroughFront(
            poller, link=link, fronts=fronts, key_for=key_for, clock=clock, base=base, timeout_seconds=timeout_seconds
        )
    seen = SeenFiles(project.state_dir / "seen", every_seconds=_WRITTEN_SECONDS)
    watcher = Watcher(
        poller=poller,
        seen=seen,
        book=HealthBook(project.state_dir / "events"),
        clock=clock,
        wakes=Wakes(clock),
        network=OwnNetwork(),
        known=inventory.nodes,
        nodes=nodes,
        backfill=Backfill(SeriesFiles(project.state_dir / "series"), token_for=token_for, clock=clock),
    )
    try:
        yield watcher
    finally:
        seen.flush()
        poller.close()
        link.close()
