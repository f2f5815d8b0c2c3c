"""How the sync of nodes is asked in a call, and how it is told what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from fleet.cli.context import link_of
from fleet.control.actions.asking import Asking
from fleet.control.inventory.project import Project
from fleet.control.rollout.conversation import SyncPart
from fleet.control.supply.nodepart import sync_zipapp
from fleet.errors import FleetError
from fleet.vocabulary.clock import SystemClock


@contextmanager
def asking_of(ctx: click.Context, project: Project) -> Iterator[Asking]:
    """How nodes are asked in this call; the link is closed at the end."""
    digest, content = sync_zipapp()
    link = link_of(ctx)
    try:
        yield Asking(link=link, base=project.root, sync=SyncPart(digest=digest, content=content), clock=SystemClock())
    finally:
        link.close()


def exit_code_of(errors: list[FleetError], *, asked: int) -> int:
    """0 all answered, 3 some, else the code of the first error."""
    if not errors:
        return 0
    return errors[0].exit_code if len(errors) == asked else 3


def harmless(text: str) -> str:
    """Without what could steer a terminal: nodes and their files have written it."""
    return "".join(one if one.isprintable() else "?" for one in text)
