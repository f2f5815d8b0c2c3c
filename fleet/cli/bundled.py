"""`--bundle FILE`, as plan and deploy take it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleet.cli.context import narrate

if TYPE_CHECKING:
    from fleet.control.supply.bundle import Bundle

BUNDLE = click.option(
    "--bundle",
    "bundled",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take everything from a bundle (fleet bundle -o FILE): nothing is fetched.",
)


def bundle_of(path: Path | None) -> Bundle | None:
    """The bundle, checked; None without one. Raises SupplyError."""
    if path is None:
        return None
    from fleet.control.supply.bundle import open_bundle
    from fleet.control.supply.cache import Cache

    return open_bundle(path, cache=Cache(), notify=narrate)
