"""Cursor: why no configuration of it can work."""

from __future__ import annotations

from fleet.clients.configuration import Configuration, NoWay, Offer


def cursor(_: Offer) -> Configuration:
    """Raises NoWay, whatever the front."""
    raise NoWay(
        "Cursor asks from its own servers, not from the editor: its “Override OpenAI Base URL” would want the front "
        "to be reachable from the whole internet, and every prompt would pass through Cursor first",
        instead="opencode, Codex, Claude Code and Continue ask the fleet straight from this machine",
    )
