"""Secrets that follow from the fleet key, so that laptop and node know them without another reference. Pure."""

from __future__ import annotations

import hashlib
import hmac

from fleet.vocabulary.secret import Secret


def agent_token(fleet_key: Secret, node: str) -> Secret:
    """The bearer token of a node's agent: HMAC-SHA256 of `agent:NODE` under the fleet key, 64 hex digits."""
    return Secret(hmac.new(fleet_key.reveal().encode(), f"agent:{node}".encode(), hashlib.sha256).hexdigest())


def metrics_key(fleet_key: Secret) -> Secret:
    """What a Prometheus shows to gateways (scope `node`): HMAC-SHA256 of `metrics` under the fleet key, as hex."""
    return Secret(hmac.new(fleet_key.reveal().encode(), b"metrics", hashlib.sha256).hexdigest())
