"""Whether a node wants the ssh program as its carrier: tried where our own SSH is refused, and proposed to a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fleet.control.link.protocol import Link, Session, Target
from fleet.errors import AuthError, FleetError, UsageError

Propose = Callable[[str, str], bool]
"""Asked about a node (and told why) whether `link: openssh` may be written beside it."""


@dataclass(frozen=True)
class Reached:
    """A session, and what to write into the inventory so that the next one comes about."""

    session: Session
    pins: dict[str, str]


def reach(link: Link, target: Target, *, propose: Propose) -> Reached:
    """A session by the carrier that the inventory names; by ssh where that is refused and a person agrees.

    Raises what the named carrier raised, with the way out in its hint where ssh did get in.
    """
    try:
        return Reached(link.connect(target), {})
    except (AuthError, UsageError) as refused:
        if target.carrier != "fabric":
            raise
        try:
            session = link.connect(replace(target, carrier="openssh"))
        except FleetError:
            raise refused from None
        if propose(target.node, reason(refused)):
            return Reached(session, {"link": "openssh"})
        session.close()
        refused.hint = f"the ssh program does get in: write `link: openssh` beside {target.node}, or fleet adopt --yes"
        raise


def shown_key(link: Link, target: Target) -> str:
    """The key that a node shows, asked for by ssh where only ssh can read the ssh_config."""
    try:
        return link.host_key(target)
    except UsageError as refused:
        if target.carrier != "fabric":
            raise
        try:
            return link.host_key(replace(target, carrier="openssh"))
        except FleetError:
            raise refused from None


def reason(refused: FleetError) -> str:
    """Why ssh is needed, in a few words."""
    if isinstance(refused, UsageError):
        return f"only ssh can read what leads there ({refused.title})"
    if "security key" in refused.detail:
        return "it is logged in to with a security key"
    return "the ssh program gets in where fleet's own SSH is refused"
