"""The rows of a front's ledger: money, requests and what the policy decided. Append-only; no prompt, no answer text.

One request of a client has one Request row when it has ended. Every attempt that may cost money has a Reservation,
committed before its first byte goes out, and later one Settlement; an Adjustment is a late correction: a row of its
own. All are keyed: a row that is written twice counts once. Amounts are pico-dollars (vocabulary/money.py), times
milliseconds of UTC.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleet.vocabulary.names import Sensitivity, Track


class CostSource(StrEnum):
    """Who says what an attempt cost, the best first. `unsent`: nothing of it went out. `unresolved`: nobody knows yet,
    or ever; what was reserved is held as spent.
    """

    PROVIDER = "provider"
    GENERATION = "generation"
    UNSENT = "unsent"
    ESTIMATED = "estimated"
    UNRESOLVED = "unresolved"


class ToolVerdict(StrEnum):
    """What became of the tools that a request offered (SPEC section 5.3)."""

    OK = "ok"
    OK_SOFT = "ok_soft"
    BAD_JSON = "bad_json"
    NOT_OBJECT = "not_object"
    SCHEMA = "schema"
    UNKNOWN_TOOL = "unknown_tool"
    TRUNCATED = "truncated"
    DROPPED = "dropped"
    MISSING_REQUIRED = "missing_required"
    LEAKED_TEXT = "leaked_text"
    NO_CALL = "no_call"
    INFRA = "infra"
    CANCELLED = "cancelled"
    UNSCORABLE = "unscorable"


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a row belongs to: the key's name and what it says of its holder."""

    key: str
    person: str = ""
    team: str = ""
    app: str = ""


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Money that an attempt may cost, at most. `id` is `REQUEST/ATTEMPT`. `gray`: it used up credit of the pool.

    `route` is the route that was asked for; `track` the track that the attempt is on. Without `incident` it counted
    against the cap, with one against the ceiling. A free upstream of an API reserves 0: its row is the journal of what
    was sent.
    """

    id: str
    request: str
    at_milliseconds: int
    owner: Owner
    route: str
    track: Track
    upstream: str
    model: str
    pico: int
    gray: bool = False
    ticket: str = ""
    incident: str = ""


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider calls the attempt: the way to learn its cost later."""

    id: str
    generation: str
    at_milliseconds: int


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt cost. Written once; a later one for the same `id` changes nothing."""

    id: str
    at_milliseconds: int
    pico: int
    source: CostSource


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """A correction. `id` is its own (`REQUEST/ATTEMPT/adjust/N`, `reconcile/2026-11/1`); `pico` may be negative.

    One for an attempt carries its Reservation's id in `of`; one for a whole track (a reconciliation with the
    provider's own counters) has "".
    """

    id: str
    of: str
    at_milliseconds: int
    pico: int
    track: Track
    note: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a client, ended. For local routes this is all that there is.

    `asked` is the route of the client's choice, `route` where it went (a fold, a downgrade); `outcome` as in the log.
    Unknown counts and times are None, never 0. `pico` is what is known of its cost when it ended; the money is counted
    by settlements. `eligible`: it could have gone to the gray pool. `tools_at_seconds`: the first whole tool call.
    """

    id: str
    at_milliseconds: int
    owner: Owner
    asked: str
    route: str
    track: Track
    upstream: str = ""
    node: str = ""
    model: str = ""
    outcome: str = "ok"
    status: int = 200
    surface: str = ""
    stream: bool = False
    sensitivity: Sensitivity = Sensitivity.INTERNAL
    eligible: bool = False
    gray: bool = False
    folded: str = ""
    ticket: str = ""
    incident: str = ""
    attempts: int = 0
    session: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    seconds: float = 0.0
    queued_seconds: float = 0.0
    first_token_seconds: float | None = None
    tools_at_seconds: float | None = None
    tools_offered: int = 0
    tool_verdict: ToolVerdict | None = None
    pico: int | None = None


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was decided and must outlive the process, newest last: the policy's state is a function of these.

    `kind`: `incident_open`, `incident_closed`, `gray_disabled`, `gray_enabled`, `gray_rolled_back`, `taint`, `alert`,
    `terms` (caps that came into force). `subject` is whom it is about (an incident, a gray route, a hashed session, a
    cap), `by` who said so. `until_milliseconds`: when it lapses; None = never. `data` is JSON of the kind's own.
    """

    id: str
    kind: str
    subject: str
    at_milliseconds: int
    by: str = ""
    until_milliseconds: int | None = None
    data: str = "{}"


Row = Reservation | Dispatch | Settlement | Adjustment | Request | Note
"""All that a ledger holds."""
