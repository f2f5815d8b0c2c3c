"""What a gateway's admin door says (loopback, key with the scope `admin`; the laptop comes over SSH). Version 1.

GET `/admin/requests` -> LiveRequests · POST `/admin/requests/ID/kill` (KillRequest) -> LiveRequest ·
GET `/admin/routes` -> RouteReports · POST `/admin/explain` (ExplainRequest) -> Explanation ·
GET `/admin/intent` -> NodeIntent · POST `/admin/intent` (IntentRequest) -> NodeIntent ·
GET `/admin/door` -> DoorReport · POST `/admin/door` (DoorRequest) -> DoorReport ·
GET `/admin/pace` -> PaceReport · GET `/admin/nodes` -> NodeWords (a front only; `?brief=1`: see there).
The node's agent, and a deploy on the node itself, have a key with the scope `care`: pace, intent, door, nothing else.
An error is `{"error": {"message", "type", "code"}}` with a 4xx or 5xx status.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.names import Intent, Lane, Track

AGENT = "agent:"
"""How `by` begins when the node's own agent asks."""
DEPLOY = "deploy:"
"""How `by` begins when a deploy on the node asks: it is about to stop what it drains, and resumes only that."""


class LiveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is being answered. `phase`: queued, waiting (sent, no token yet) or answering.

    `prompt_tokens` is predicted until usage was seen; `output_chunks` counts what went to the client. `avoided`: whom
    their nodes' health kept it from, each as NODE/UPSTREAM=reason.
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
    avoided: tuple[str, ...] = ()


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
    `standing`: how much new work its node's health lets it have (full, less, none); `unwell` says why not full.
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
    standing: str = "full"
    unwell: tuple[str, ...] = ()


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
    """What is wanted of the node's own sidecars. Without `sidecar`, of all of them.

    `by` of the node's own agent begins with `agent:`, that of a deploy with `deploy:`. What they ask for never changes
    what an operator wants, nor what the other one drained; an agent's wish outlives the deploy that drained first.
    """

    intent: Intent
    sidecar: str | None = None
    by: str = ""


class SidecarIntent(msgspec.Struct, frozen=True, kw_only=True):
    """One sidecar: what is wanted, by whom ("" = nobody drained it), and what still runs on it."""

    name: str
    intent: Intent
    in_flight: int = 0
    since_seconds: float = 0.0
    by: str = ""


class NodeIntent(msgspec.Struct, frozen=True, kw_only=True):
    """The node's own sidecars. `draining` becomes `drained` when nothing runs on them any more."""

    node: str
    sidecars: tuple[SidecarIntent, ...] = ()
    schema: int = 1


class DoorRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the gateway itself takes new requests. `draining`: it refuses them with 503, and what runs goes on.

    It lasts as long as the process, and no longer than `seconds` after it was last asked for: whoever closed the door
    may die. None = until it is opened.
    """

    intent: Intent
    by: str = ""
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86400)] | None = None


class DoorReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway's own door stands, and how many requests run: `draining` becomes `drained` when none does."""

    node: str
    intent: Intent
    in_flight: int = 0
    schema: int = 1


class PaceRow(msgspec.Struct, frozen=True, kw_only=True):
    """Answers of one upstream that decoded beside as many others.

    `at_once`: 1, 2, 4, 8, ...: the nearest of these to the requests that the server had on average, the answer itself
    counted. `tokens` came after the first one of each answer, in `seconds` of decoding, both summed. One that goes on
    counts for what has come of it; `answers` has it once, where its first piece is. `first_token_seconds` is the median
    from request to first token.
    """

    at_once: int
    answers: int
    tokens: int
    seconds: float
    first_token_seconds: float | None = None


class UpstreamPace(msgspec.Struct, frozen=True, kw_only=True):
    """How one of the node's own sidecars has answered within the window.

    `answered_seconds_ago`: its last whole answer to a client. `refusing_seconds`: since when it has only refused (503)
    while it was asked; None when it does not. `recent`: the rows of the last `recent_seconds` only, for routing.
    """

    name: str
    serves: str
    port: int | None = None
    in_flight: int = 0
    waiting: int = 0
    answered_seconds_ago: float | None = None
    refusing_seconds: float | None = None
    rows: tuple[PaceRow, ...] = ()
    recent: tuple[PaceRow, ...] = ()


class PaceReport(msgspec.Struct, frozen=True, kw_only=True):
    """The pace of the node's own sidecars over the last `window_seconds`."""

    node: str
    window_seconds: float
    recent_seconds: float = 0.0
    upstreams: tuple[UpstreamPace, ...] = ()
    schema: int = 1


class NodeWord(msgspec.Struct, frozen=True, kw_only=True):
    """What a front last heard of one node. `heard_at_seconds` is by the front's clock; `problem` "" = it answers now.

    `address` is where the front reaches its edge; a node never heard has no snapshot. `sample_age_seconds` is how long
    the front had that very sample already when it heard it last: the same one is heard several times.
    """

    node: str
    address: str = ""
    heard_at_seconds: float | None = None
    sample_age_seconds: float | None = None
    tried_at_seconds: float | None = None
    problem: str = ""
    snapshot: Snapshot | None = None


class NodeWords(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes that a front knows, itself among them. `at_seconds` is the front's clock."""

    node: str
    at_seconds: float
    nodes: tuple[NodeWord, ...] = ()
    schema: int = 1

    def brief(self) -> NodeWords:
        """The same without the collectors that work: more than half of it, and nobody looks at them."""
        return msgspec.structs.replace(self, nodes=tuple(map(_brief, self.nodes)))


def _brief(word: NodeWord) -> NodeWord:
    if word.snapshot is None:
        return word
    failed = tuple(one for one in word.snapshot.collectors if not one.ok)
    return msgspec.structs.replace(word, snapshot=msgspec.structs.replace(word.snapshot, collectors=failed))
