"""Names of things, one type each, and the closed sets of words. Standard library only."""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

NodeName = NewType("NodeName", str)
GroupName = NewType("GroupName", str)
ModelName = NewType("ModelName", str)
RouteName = NewType("RouteName", str)
Label = NewType("Label", str)
RunId = NewType("RunId", str)
Digest = NewType("Digest", str)
"""`sha256:` or `hmac-sha256:` and 64 hex digits."""
StateId = NewType("StateId", str)
"""64 hex digits: the SHA-256 of a canonical desired state."""


class ServiceKind(StrEnum):
    """A launchd-managed daemon on a node."""

    AGENT = "agent"
    GATEWAY = "gateway"
    SIDECAR = "sidecar"
    OPENCLAW = "openclaw"


class GatewayRole(StrEnum):
    """`front` has the full routing policy; `edge` stands beside the sidecars of one node."""

    FRONT = "front"
    EDGE = "edge"


class Tier(StrEnum):
    """Where work runs."""

    LAPTOP = "laptop"
    FLEET = "fleet"
    API = "api"


class Track(StrEnum):
    """The policy of a route."""

    TOKEN = "token"
    DOLLAR = "dollar"
    GRAY = "gray"
    PRIVATE = "private"


class Sensitivity(StrEnum):
    """How far the content of a request may go. Labels only rise; the order is that of the members."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SENSITIVE = "sensitive"
    RESTRICTED = "restricted"

    @property
    def rank(self) -> int:
        """0 for public, 3 for restricted."""
        return _RANKS[self]


_RANKS = {label: rank for rank, label in enumerate(Sensitivity)}


class Health(StrEnum):
    """How a node or service is doing, for people."""

    OK = "ok"
    WARN = "warn"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Freshness(StrEnum):
    """How old what we know of a node is."""

    LIVE = "live"
    STALE = "stale"
    OFFLINE = "offline"
    NEVER_SEEN = "never_seen"


class Intent(StrEnum):
    """What the operator wants of a node."""

    SERVING = "serving"
    DRAINING = "draining"
    DRAINED = "drained"


class Lane(StrEnum):
    """Who waits for whom: a batch request waits while an interactive one does."""

    INTERACTIVE = "interactive"
    BATCH = "batch"
