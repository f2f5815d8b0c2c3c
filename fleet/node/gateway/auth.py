"""Who may ask for what: keys by their SHA-256, scopes, and the names under which we are called."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.traffic.config import GatewayConfig
from fleet.vocabulary.hosts import is_address

INFERENCE = "inference"
NODE = "node"
ADMIN = "admin"
CARE = "care"
"""The node's agent and a deploy on the node: at the admin door, and there pace, intent and the gateway's own door."""


def shown_key(headers: Mapping[str, str]) -> str | None:
    """The key that a request shows, as `Authorization: Bearer KEY` or `x-api-key: KEY`."""
    shown = headers.get("Authorization")
    if shown is not None:
        scheme, _, key = shown.partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            return key.strip()
    return headers.get("x-api-key", "").strip() or None


def host_allowed(config: GatewayConfig, host: str) -> bool:
    """Whether a Host header is one of ours: a page under a rebound DNS name is not.

    An IP address, localhost and the node's own name always are; `allowed_hosts` adds names, `*` any.
    """
    name = _host_name(host)
    if name is None:
        return False
    own = config.node.lower()
    if name in ("localhost", own, f"{own}.local", config.listen.host.lower()) or "*" in config.allowed_hosts:
        return True
    if name in (allowed.lower().rstrip(".") for allowed in config.allowed_hosts):
        return True
    return is_address(name)


def _host_name(host: str) -> str | None:
    if host.startswith("["):
        name, bracket, _ = host[1:].partition("]")
        return name.lower() if bracket else None
    return host.partition(":")[0].lower().rstrip(".") or None
