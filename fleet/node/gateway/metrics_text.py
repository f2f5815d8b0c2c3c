"""The books and the state of the moment as Prometheus text 0.0.4. Pure. docs/metrics.md names every family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.node.gateway.call import Phase
from fleet.node.gateway.metrics import (
    CANCEL_SECONDS,
    DURATION_SECONDS,
    FIRST_TOKEN_SECONDS,
    PER_TOKEN_SECONDS,
    QUEUE_SECONDS,
    Metrics,
    Series,
    SeriesKey,
)
from fleet.node.gateway.metrics_process import ProcessReading
from fleet.node.gateway.metrics_view import STATES, GatewayView
from fleet.traffic.breaker import Phase as Breaker
from fleet.traffic.wellness import Standing
from fleet.vocabulary.contracts.gateway_admin import UpstreamReport
from fleet.vocabulary.exposition import Exposition, Labels
from fleet.vocabulary.names import Lane

BREAKERS = (Breaker.CLOSED, Breaker.HALF_OPEN, Breaker.OPEN)


def render(metrics: Metrics, view: GatewayView, process: ProcessReading) -> bytes:
    """The text of `/metrics`."""
    text = Exposition()
    _requests(text, metrics.series)
    _waits(text, metrics, view)
    _moment(text, view)
    _prefixes(text, view)
    _paces(text, view)
    _gateway(text, metrics, view)
    _process(text, process)
    return text.encode()


def _requests(text: Exposition, series: Mapping[SeriesKey, Series]) -> None:
    labelled = [(_labels(key), one) for key, one in series.items()]
    text.family(
        "fleet_requests_total",
        "counter",
        "Requests that ended, by outcome: ok, refused, failed, truncated, cancelled, ended.",
        [(labels, one.requests) for labels, one in labelled],
    )
    text.histogram(
        "fleet_request_duration_seconds",
        "From the request's arrival to its end, with the time in the queue.",
        DURATION_SECONDS,
        [(labels, one.seconds.counts, one.seconds.total) for labels, one in labelled],
    )
    text.histogram(
        "fleet_time_to_first_token_seconds",
        "From the request's arrival to the first token, with the time in the queue.",
        FIRST_TOKEN_SECONDS,
        [(labels, one.first_token.counts, one.first_token.total) for labels, one in labelled],
    )
    text.histogram(
        "fleet_time_per_output_token_seconds",
        "Mean time per token after the first, where usage said how many.",
        PER_TOKEN_SECONDS,
        [(labels, one.per_token.counts, one.per_token.total) for labels, one in labelled],
    )
    text.histogram(
        "fleet_time_per_output_chunk_seconds",
        "Mean time per chunk after the first.",
        PER_TOKEN_SECONDS,
        [(labels, one.per_chunk.counts, one.per_chunk.total) for labels, one in labelled],
    )
    told = [(labels, one) for labels, one in labelled if one.with_usage]
    text.family(
        "fleet_tokens_total",
        "counter",
        "Tokens as the upstreams said, never guessed. Input counts cached ones too.",
        [
            ((*labels, ("direction", direction)), count)
            for labels, one in told
            for direction, count in (("input", one.prompt_tokens), ("output", one.completion_tokens))
        ],
    )
    text.family(
        "fleet_cached_tokens_total",
        "counter",
        "Input tokens that came from a prompt cache.",
        [(labels, one.cached_tokens) for labels, one in told],
    )
    text.family(
        "fleet_requests_with_usage_total",
        "counter",
        "Requests whose tokens are known.",
        [(labels, one.with_usage) for labels, one in labelled],
    )
    text.family(
        "fleet_retries_total",
        "counter",
        "Attempts beyond the first.",
        [(labels, one.retries) for labels, one in labelled],
    )
    text.family(
        "fleet_malformed_events_total",
        "counter",
        "Events of upstreams that were no JSON, and were passed on.",
        [(labels, one.malformed) for labels, one in labelled],
    )
    text.family(
        "fleet_stream_truncated_total",
        "counter",
        "Answers that broke after their first token; the client was told.",
        _truncated(series),
    )


def _truncated(series: Mapping[SeriesKey, Series]) -> Iterable[tuple[Labels, float]]:
    """Zeros too: where an answer began, and none was cut, that is known."""
    found: dict[tuple[str, str, str], int] = {}
    for (route, upstream, model, outcome), one in series.items():
        if any(one.first_token.counts) or outcome == "truncated":
            key = (route, upstream, model)
            found[key] = found.get(key, 0) + (one.requests if outcome == "truncated" else 0)
    return [(tuple(zip(("route", "upstream", "model"), key, strict=True)), count) for key, count in found.items()]


def _waits(text: Exposition, metrics: Metrics, view: GatewayView) -> None:
    text.histogram(
        "fleet_queue_wait_seconds",
        "How long requests waited that found no place at once.",
        QUEUE_SECONDS,
        [((("lane", lane.value),), one.counts, one.total) for lane, one in metrics.queue.items()],
    )
    text.histogram(
        "fleet_cancel_seconds",
        "From a client's leaving to the closing of the upstream's connection.",
        CANCEL_SECONDS,
        [((), metrics.cancel.counts, metrics.cancel.total)],
    )
    text.one(
        "fleet_retries_refused_total",
        "counter",
        "Requests that were not asked again because the budget of retries was spent.",
        view.retries_refused,
    )
    text.family(
        "fleet_health_avoided_total",
        "counter",
        "Requests that an upstream would have had, were its node well, by the sign that weighed most.",
        [((("upstream", upstream), ("reason", reason)), n) for (upstream, reason), n in metrics.avoided.items()],
    )
    text.family(
        "fleet_refused_at_the_door_total",
        "counter",
        "Requests that no route ever saw: no key, no such model, no JSON.",
        [((("status", str(status)),), count) for status, count in sorted(metrics.turned_away.items())],
    )


def _moment(text: Exposition, view: GatewayView) -> None:
    text.family(
        "fleet_in_flight",
        "gauge",
        "Requests in flight: queued, waiting for a first token, answering.",
        [((("phase", phase.value),), view.phases.get(phase, 0)) for phase in Phase],
    )
    text.family(
        "fleet_queue_depth",
        "gauge",
        "Requests that have no place yet.",
        [((("lane", lane.value),), view.waiting.get(lane, 0)) for lane in Lane],
    )
    about = [(_upstream(one), one) for one in view.upstreams]
    text.family(
        "fleet_upstream_ready",
        "gauge",
        "Whether the upstream has proven itself and takes work (1 also when it is full).",
        [(labels, int(one.state in ("ready", "full"))) for labels, one in about],
    )
    text.family(
        "fleet_upstream_state",
        "gauge",
        f"1 for the state that holds: {', '.join(STATES)}.",
        [((*labels, ("state", state)), int(one.state == state)) for labels, one in about for state in STATES],
    )
    text.family(
        "fleet_upstream_breaker_state",
        "gauge",
        "0 closed (requests go there), 1 half open (one trial at a time), 2 open (left alone).",
        [
            (labels, BREAKERS.index(view.breakers[one.name]))
            for labels, one in about
            if view.breakers.get(one.name) in BREAKERS
        ],
    )
    text.family(
        "fleet_upstream_standing",
        "gauge",
        "How much new work its node's health lets it have: 0 full, 1 less, 2 none while another can serve.",
        [(labels, Standing(one.standing).grade) for labels, one in about],
    )
    text.family(
        "fleet_upstream_in_flight",
        "gauge",
        "Requests that the upstream has.",
        [(labels, one.in_flight) for labels, one in about],
    )
    text.family(
        "fleet_upstream_max_in_flight",
        "gauge",
        "Requests that the upstream may have at once.",
        [(labels, one.max_in_flight) for labels, one in about],
    )
    text.family(
        "fleet_upstream_outstanding_tokens",
        "gauge",
        "Predicted tokens that the upstream still has to work through.",
        [(labels, one.outstanding_tokens) for labels, one in about],
    )


def _prefixes(text: Exposition, view: GatewayView) -> None:
    labelled = [((("node", one.node), ("upstream", one.upstream)), one) for one in view.prefixes if one.prompt_tokens]
    text.family(
        "fleet_prefix_prompt_tokens_total",
        "counter",
        "Prompt tokens, as the upstream counted them.",
        [(labels, one.prompt_tokens) for labels, one in labelled],
    )
    both = [
        ((*labels, ("kind", kind)), tokens, one.prompt_tokens)
        for labels, one in labelled
        for kind, tokens in (("predicted", one.predicted_tokens), ("real", one.real_tokens))
    ]
    text.family(
        "fleet_prefix_cached_tokens_total",
        "counter",
        "Of those, what choice had predicted to be cached, and what was.",
        [(labels, tokens) for labels, tokens, _ in both],
    )
    text.family(
        "fleet_prefix_hit_ratio",
        "gauge",
        "The same as a part of the prompt tokens since the start; rates of the counters say more.",
        [(labels, tokens / whole if whole else None) for labels, tokens, whole in both],
    )


def _paces(text: Exposition, view: GatewayView) -> None:
    labelled = [
        ((("node", one.node), ("upstream", one.upstream), ("model", one.model)), one)
        for one in view.paces
        if one.tokens
    ]
    text.family(
        "fleet_decode_tokens_total",
        "counter",
        "Tokens after the first one, of answers that are long enough to tell a pace. Sidecars of this node only.",
        [(labels, one.tokens) for labels, one in labelled],
    )
    text.family(
        "fleet_decode_seconds_total",
        "counter",
        "How long those took; of answers at the same time each counts.",
        [(labels, one.seconds) for labels, one in labelled],
    )


def _gateway(text: Exposition, metrics: Metrics, view: GatewayView) -> None:
    info = (("version", view.version), ("role", view.role), ("config_sha256", view.config_sha256))
    text.family("fleet_gateway_info", "gauge", "What runs, and with which configuration.", [(info, 1)])
    text.family(
        "fleet_route_info",
        "gauge",
        "The track of every route: join it for policy.",
        [((("route", route.name), ("track", route.track.value)), 1) for route in view.routes],
    )
    text.one("fleet_gateway_uptime_seconds", "gauge", "Since the process began to serve.", view.uptime_seconds)
    text.one("fleet_gateway_draining", "gauge", "Whether it takes no new work because it stops.", int(view.draining))
    text.one(
        "fleet_config_reload_failures_total",
        "counter",
        "New configurations that were refused; the last good one stayed.",
        metrics.reloads_failed,
    )
    text.one(
        "fleet_config_current",
        "gauge",
        "Whether the newest configuration file is the one in force.",
        int(not view.config_problem),
    )


def _process(text: Exposition, process: ProcessReading) -> None:
    text.one(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory now. Linux only: macOS tells a process its peak only, see fleet_gateway_peak_resident_bytes.",
        process.resident_bytes,
    )
    text.one(
        "fleet_gateway_peak_resident_bytes",
        "gauge",
        "The most resident memory that it ever had (ru_maxrss, bytes on both systems).",
        process.peak_bytes,
    )
    text.one("process_cpu_seconds_total", "counter", "User and system time.", process.cpu_seconds)
    text.one("process_open_fds", "gauge", "Open files and connections.", process.open_files)
    text.one("process_max_fds", "gauge", "How many it may open.", process.most_files)


def _labels(key: SeriesKey) -> Labels:
    route, upstream, model, outcome = key
    return (("route", route), ("upstream", upstream), ("model", model), ("outcome", outcome))


def _upstream(one: UpstreamReport) -> Labels:
    return (("node", one.node), ("upstream", one.name), ("model", one.serves))
