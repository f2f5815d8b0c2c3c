"""Tokens that are derived, so that nobody has to keep or send them. Standard library only."""

from __future__ import annotations

import hashlib
import hmac

from fleet.vocabulary.secret import Secret


def agent_token(fleet_key: Secret, node: str) -> Secret:
    """The bearer token of a node's agent: another one for each node, none of which gives the fleet key away."""
    key = fleet_key.reveal().encode()
    return Secret(hmac.new(key, f"fleet agent token 1 {node}".encode(), hashlib.sha256).hexdigest())
