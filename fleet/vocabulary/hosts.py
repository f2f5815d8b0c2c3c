"""Names and addresses of hosts. Standard library only."""

from __future__ import annotations

import ipaddress


def is_address(host: str) -> bool:
    """Whether `host` is an IP address (in brackets or not) and not a name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a listener on `host`, or a connection to it, stays on that machine."""
    return host.lower() == "localhost" or (is_address(host) and ipaddress.ip_address(host.strip("[]")).is_loopback)
