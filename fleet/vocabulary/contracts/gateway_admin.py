"""What a gateway's admin door says (loopback, key with the scope `admin`; the laptop comes over SSH). Version 1.

GET `/admin/requests` -> LiveRequests · POST `/admin/requests/ID/kill` (KillRequest) -> LiveRequest ·
GET `/admin/routes` -> RouteReports · POST `/admin/explain` (ExplainRequest) -> Explanation ·
GET `/admin/intent` -> NodeIntent · POST `/admin/intent` (IntentRequest) -> NodeIntent.
An error is `{"error": {"message", "type", "code"}}` with a 4xx or 5xx status.
"""

from __future__ import annotations

import msgspec

from fleet.vocabulary.names import Intent, Lane, Track


class LiveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is being answered. `phase`: queued, waiting (sent, no token yet) or answering.

    `prompt_tokens` is predicted until usage was seen; `output_chunks` counts what went to the client.
    """

    id: str
    key: str
    surface: str
    route: str
    model: str
    lane: Lane
    phase: str
    seconds: float
    upstream: str = ""
    node: str = ""
    stream: bool = False
    attempts: int = 0
    prompt_tokens: int = 0
    max_output_tokens: int = 0
    output_chunks: int = 0
    first_token_seconds: float | None = None


class LiveRequests(msgspec.Struct, frozen=True, kw_only=True):
    """All requests in flight on one gateway."""

    node: str
    requests: tuple[LiveRequest, ...] = ()
    schema: int = 1


class KillRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request is ended; its client reads it."""

    reason: str = ""


class UpstreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream of a route as choice sees it. `state`: ready, unknown, down, draining, drained, full.

    `reason` says why it is not ready. Tokens are predicted; `matched_tokens` is what its prompt cache should hold.
    """

    name: str
    serves: str
    kind: str
    state: str
    node: str = ""
    reason: str = ""
    in_flight: int = 0
    max_in_flight: int = 0
    outstanding_tokens: int = 0
    context_tokens: int | None = None
    matched_tokens: int = 0
    seen_seconds_ago: float | None = None


class RouteReport(msgspec.Struct, frozen=True, kw_only=True):
    """A route with its upstreams in order of preference."""

    name: str
    track: Track
    upstreams: tuple[UpstreamReport, ...] = ()


class RouteReports(msgspec.Struct, frozen=True, kw_only=True):
    """All routes of a gateway. The first is the default."""

    node: str
    config_sha256: str
    routes: tuple[RouteReport, ...] = ()
    schema: int = 1


class ExplainRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Where would this request go? `prompt` is used for sizes and prefix, and kept nowhere."""

    model: str | None = None
    prompt: str = ""
    max_tokens: int | None = None
    work: str = "chat"
    session: str = ""
    lane: Lane = Lane.INTERACTIVE
    key: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The order in which upstreams would be asked now, and a sentence for each that would or would not be."""

    node: str
    route: str
    track: Track
    attempts: tuple[str, ...] = ()
    reasons: dict[str, str] = {}
    upstreams: tuple[UpstreamReport, ...] = ()
    prompt_tokens: int = 0
    output_tokens: int = 0
    refused: str = ""
    schema: int = 1


class IntentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator wants of the node's own sidecars. Without `sidecar`, of all of them."""

    intent: Intent
    sidecar: str | None = None
    by: str = ""


class SidecarIntent(msgspec.Struct, frozen=True, kw_only=True):
    """One sidecar: what is wanted, and what still runs on it."""

    name: str
    intent: Intent
    in_flight: int = 0
    since_seconds: float = 0.0


class NodeIntent(msgspec.Struct, frozen=True, kw_only=True):
    """The node's own sidecars. `draining` becomes `drained` when nothing runs on them any more."""

    node: str
    sidecars: tuple[SidecarIntent, ...] = ()
    schema: int = 1
