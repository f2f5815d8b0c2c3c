"""The gateway's configuration: what deploy writes to ROOT/etc/gateway.json and the gateway reads. Schema 1.

Keys are in their own 0600 file (`keys_file`, a KeyRing of traffic/keyring.py). What a front shows an edge is in
`key_file` of the upstream.
"""

from __future__ import annotations

import msgspec

from fleet.traffic.policy import GrayTerms, Policy
from fleet.vocabulary.names import GatewayRole, Sensitivity, Track


class Listen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway listens. Without certificate and key it speaks plain HTTP, on loopback only."""

    host: str
    port: int
    certificate_file: str | None = None
    key_file: str | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD as decimal text ("0.0000001"), as OpenRouter's model list says it: nothing is lost.

    `prompt`, `completion` and `cached` (a prompt's token that was read from the provider's cache; None = as `prompt`)
    are per token, `request` and `image` per piece.
    """

    prompt: str = "0"
    completion: str = "0"
    request: str = "0"
    image: str = "0"
    cached: str | None = None


class Upstream(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whatever a gateway can send a request to.

    `kind`: `sidecar` (an engine on this node), `edge` (the gateway of another node, TLS pinned by `pin`), `api` (an
    OpenAI-compatible URL). `engine` names the adapter of fleet.engines. `model` is what the upstream is asked for,
    `serves` the name under which routes and clients know it. `pin` is `sha256//BASE64` of the peer's public key.
    `works`: what it is asked for (`chat`, `completions`, `embeddings`); None = what its engine offers. A request may
    use `kv_bytes` of memory together with those in flight, at `kv_bytes_per_token`; None = no bound but
    `max_in_flight`. `prompt_cache_size`: how many prompts the server keeps. `headers` go with every request.
    `price_most`: the dearest that the API's conditions allow (long prompts, hours); None = `price`. An `api` upstream
    without a price is of unknown cost: it is no upstream of a track with a cap.
    """

    name: str
    kind: str
    url: str
    engine: str
    serves: str
    model: str
    node: str = ""
    pin: str | None = None
    key_file: str | None = None
    context_tokens: int | None = None
    max_in_flight: int = 16
    works: tuple[str, ...] | None = None
    kv_bytes_per_token: int | None = None
    kv_bytes: int | None = None
    prompt_cache_size: int = 10
    price: Price | None = None
    price_most: Price | None = None
    headers: dict[str, str] = {}


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per gateway, or per route; seconds.

    `connect`, `first_token`, `unary` (a whole answer of an API that is not streamed), `idle` (between two signs of an
    answer) and `total` end an attempt or the call. `queue`:
    how long a request waits for room before 429. `commit`: how long the status is withheld while no answer has begun;
    then 200 and a comment every `keepalive`. `body`: for a client to send its request. `reader`: how long a client may
    leave unread what was sent.
    """

    connect_seconds: float = 2.0
    first_token_seconds: float = 180.0
    unary_seconds: float = 600.0
    idle_seconds: float = 300.0
    total_seconds: float = 1800.0
    queue_seconds: float = 10.0
    commit_seconds: float = 2.0
    keepalive_seconds: float = 5.0
    body_seconds: float = 120.0
    reader_seconds: float = 60.0


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario that a client asks for by model name, and its upstreams in order of preference.

    `sensitivity`: the least label of what comes here. `gray` names the gray route that takes its share of this one's
    requests. Of a gray route: `gray_terms`. `folds_to` is the route that serves what this one refuses (a gray route
    always has one; without one a dollar route answers 403 or 402).
    """

    name: str
    upstreams: tuple[str, ...]
    track: Track = Track.PRIVATE
    timeouts: Timeouts | None = None
    sensitivity: Sensitivity | None = None
    gray: str | None = None
    gray_terms: GrayTerms | None = None
    folds_to: str | None = None


class Probing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How upstreams are proven; seconds.

    One that is down is tried every `down`, a sidecar that serves when nothing succeeded for `idle`, an edge every
    `edge`. A probe may take `timeout`; `failures` in a row take an upstream out, one refused connection does at once.
    """

    down_seconds: float = 1.0
    idle_seconds: float = 15.0
    edge_seconds: float = 3.0
    timeout_seconds: float = 10.0
    failures: int = 2


class Breaker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an upstream is left alone: after `failures` in a row, for `first` seconds, doubled up to `longest`.

    Then one request at a time is its trial. The last upstream that could serve is never left alone.
    """

    failures: int = 3
    first_seconds: float = 1.0
    longest_seconds: float = 30.0


class Retries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many requests may be asked again elsewhere: `ratio` of all, and `burst` at once; `attempts` per request."""

    ratio: float = 0.1
    burst: int = 20
    attempts: int = 3


class Queue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who waits for a place: `longest` in all, `per_key` of one key. Beyond that the answer is 429."""

    longest: int = 1024
    per_key: int = 256


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on what a client may send: per request, and `bodies` of all requests that are held at once."""

    header_bytes: int = 32 * 1024
    body_bytes: int = 64 * 1024 * 1024
    bodies_bytes: int = 512 * 1024 * 1024
    messages: int = 20_000
    default_max_tokens: int = 4096


class Wellness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a node's raw readings cost it new work (traffic/wellness.py). A None threshold is not looked at.

    Readings are fetched `every` seconds and believed for `stale`. `less`: fewer at once, and after its neighbours;
    `none`: nothing while another can serve. It is well again after `clean_samples` good samples in a row.
    """

    every_seconds: float = 2.0
    stale_seconds: float = 20.0
    clean_samples: int = 2
    headroom_less_bytes: int | None = 1024**3
    headroom_none_bytes: int | None = 256 * 1024**2
    swapout_less_bytes_per_second: float | None = 10.0 * 1024**2
    swapout_none_bytes_per_second: float | None = 100.0 * 1024**2
    pace_less_ratio: float | None = 0.6
    pace_none_ratio: float | None = 0.25
    pressure_less_level: int | None = 2
    pressure_none_level: int | None = 4
    thermal_less_level: int | None = 1
    thermal_none_level: int | None = 3


class Peer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another front, which this one watches: `url` and `pin` as an edge's."""

    node: str
    url: str
    pin: str | None = None


class Power(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command (argv; `{node}` is its name) for a node whose SSH port and edge are both dead for `after_seconds`.

    At most once within `again_seconds` for a node.
    """

    argv: tuple[str, ...]
    after_seconds: float = 600.0
    again_seconds: float = 3600.0


class WatchedNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node that a front watches: its edge (None = it has none) and its SSH port."""

    node: str
    url: str | None = None
    pin: str | None = None
    key_file: str | None = None
    ssh_host: str = ""
    ssh_port: int = 22


class FleetWatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a front watches for people, and whom it tells.

    `webhook_file` and `ping_file` hold one URL each (0600: such URLs are secrets). The webhook hears of the
    transitions that matter; the ping is asked every `ping_seconds`, so that its silence tells that the front is dead.
    """

    nodes: tuple[WatchedNode, ...] = ()
    peers: tuple[Peer, ...] = ()
    webhook_file: str | None = None
    ping_file: str | None = None
    ping_seconds: float = 60.0
    power: Power | None = None


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the gateway of one node runs. The first route is the default: for `default`, and when no model is named.

    `allowed_hosts` are names that the Host header may carry besides IP addresses, localhost and the node's own name
    (`*` = any). `admin_port` is a loopback port for the admin door (contracts/gateway_admin.py); `state_dir` a folder
    for what must outlive a restart (the operator's intent). `log_file` is kept below `log_bytes` (and one older file);
    without it everything goes to stderr. `policy` is a front's: without it nothing is counted or capped (an edge).
    """

    node: str
    role: GatewayRole
    listen: Listen
    keys_file: str
    upstreams: tuple[Upstream, ...] = ()
    routes: tuple[Route, ...] = ()
    agent_port: int | None = None
    agent_token_file: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    drain_seconds: float = 20.0
    probing: Probing = Probing()
    breaker: Breaker = Breaker()
    retries: Retries = Retries()
    queue: Queue = Queue()
    admin_port: int | None = None
    state_dir: str | None = None
    log_file: str | None = None
    log_bytes: int = 16 * 1024 * 1024
    wellness: Wellness = Wellness()
    watch: FleetWatch | None = None
    policy: Policy | None = None
    schema: int = 1
