"""The gateway's metrics: readable, bounded, cheap to keep, and never a zero for what is not known."""

from __future__ import annotations

import asyncio
import math
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fake_mlx import STREAM_HEAD, chunk, hangs, sends
from gateway_harness import KEY, sidecar, until
from gateway_operated import BOSS, operated
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import fleet
from fleet.node.gateway.call import Call, Outcome, Phase
from fleet.node.gateway.metrics import FIRST_TOKEN_SECONDS, NONE, OTHER, OUTCOMES, Histogram, Metrics
from fleet.node.gateway.metrics_process import ProcessReading, peak_bytes, read_process
from fleet.node.gateway.metrics_text import render
from fleet.node.gateway.metrics_view import GatewayView, PaceView, PrefixView
from fleet.node.gateway.metrics_window import Recent, quantile
from fleet.traffic.avoided import Avoided
from fleet.traffic.breaker import Phase as Breaker
from fleet.traffic.config import Route
from fleet.traffic.dialects.dialect import Asked
from fleet.traffic.dialects.registry import dialect
from fleet.traffic.work import Shape, Work
from fleet.vocabulary.contracts.gateway_admin import RouteReport, UpstreamReport
from fleet.vocabulary.names import Lane, Track

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
UPSTREAM = UpstreamReport(
    name="u", serves="m", kind="sidecar", node="mini-1", state="ready", max_in_flight=4, outstanding_tokens=120
)
VIEW = GatewayView(
    node="mini-1",
    role="edge",
    version="0.3.0",
    config_sha256="ab" * 32,
    uptime_seconds=12.5,
    routes=(RouteReport(name="r", track=Track.PRIVATE, upstreams=(UPSTREAM,)),),
    phases={Phase.WAITING: 2},
    waiting={Lane.BATCH: 1},
    breakers={"u": Breaker.HALF_OPEN},
    prefixes=(PrefixView(node="mini-1", upstream="u", prompt_tokens=100, predicted_tokens=50, real_tokens=64),),
    paces=(PaceView(node="mini-1", upstream="u", model="m", tokens=900, seconds=30.5),),
    retries_refused=3,
)


def call(route: str = "r", upstream: str = "u", served: str = "m", **changes: Any) -> Call:
    asked = Asked(work=Work.CHAT, request={}, original={}, model=route, stream=True, wants_usage=False)
    values: dict[str, Any] = {"request_id": "req_secret", "key": "sk-secret", "model": route, "shape": Shape()}
    values |= {"dialect": dialect("chat"), "asked": asked, "route": Route(name=route, upstreams=(upstream,))}
    return Call(
        **{**values, "upstream": upstream, "served": served, "tried": [upstream] if upstream else [], **changes}
    )


def ended(word: str = "ok", seconds: float = 1.0, *, of: Call | None = None, **changes: Any) -> Outcome:
    return Outcome(call=of or call(), word=word, status=200, seconds=seconds, **changes)


USAGE = {"prompt_tokens": 100, "completion_tokens": 11, "prompt_tokens_details": {"cached_tokens": 64}}


@dataclass
class Scraped:
    """What a scraper reads."""

    text: str
    values: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                self.values[f"{sample.name}{{{labels}}}"] = sample.value


def scrape(metrics: Metrics, view: GatewayView = VIEW, process: ProcessReading | None = None) -> Scraped:
    return Scraped(render(metrics, view, process or read_process()).decode())


def books(*outcomes: Outcome) -> Metrics:
    metrics = Metrics(now=lambda: 1000.0)
    metrics.follow(["r", "u", "m"])
    for outcome in outcomes:
        metrics.ended(outcome)
    return metrics


OURS = "model=m,outcome=ok,route=r,upstream=u"


def test_a_request_is_counted_with_its_times_and_tokens() -> None:
    of = call(chunks=6, queued_seconds=0.4, tried=["v", "u"])
    done = scrape(books(ended(seconds=1.2, of=of, first_token_seconds=0.2, usage=USAGE, malformed=2))).values
    assert done[f"fleet_requests_total{{{OURS}}}"] == 1
    assert done[f"fleet_request_duration_seconds_sum{{{OURS}}}"] == 1.2
    assert done[f"fleet_time_to_first_token_seconds_sum{{{OURS}}}"] == 0.2
    assert done[f"fleet_time_per_output_token_seconds_sum{{{OURS}}}"] == pytest.approx(0.1)
    assert done[f"fleet_time_per_output_chunk_seconds_sum{{{OURS}}}"] == pytest.approx(0.2)
    assert done[f"fleet_tokens_total{{direction=input,{OURS}}}"] == 100
    assert done[f"fleet_tokens_total{{direction=output,{OURS}}}"] == 11
    assert done[f"fleet_cached_tokens_total{{{OURS}}}"] == 64
    assert done[f"fleet_retries_total{{{OURS}}}"] == 1
    assert done[f"fleet_malformed_events_total{{{OURS}}}"] == 2
    assert done["fleet_queue_wait_seconds_count{lane=interactive}"] == 1
    assert done["fleet_stream_truncated_total{model=m,route=r,upstream=u}"] == 0


def test_tokens_that_no_upstream_told_have_no_series() -> None:
    text = scrape(books(ended(first_token_seconds=0.2))).text
    assert "fleet_tokens_total" not in text
    assert "fleet_cached_tokens_total" not in text
    assert "fleet_time_per_output_token_seconds" not in text


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"prompt_tokens": None, "completion_tokens": "7"},
        {"prompt_tokens": True, "completion_tokens": -3, "prompt_tokens_details": 7},
        {"prompt_tokens": 1.5, "completion_tokens": 2**60, "prompt_tokens_details": {"cached_tokens": []}},
    ],
)
def test_odd_usage_counts_nothing_and_breaks_nothing(usage: dict[str, Any]) -> None:
    done = scrape(books(ended(usage=usage, first_token_seconds=0.1))).values
    assert done[f"fleet_requests_total{{{OURS}}}"] == 1
    assert not [name for name, value in done.items() if name.startswith("fleet_tokens_total") and value]


def test_a_cut_answer_is_counted_as_such_beside_those_that_were_whole() -> None:
    done = scrape(books(ended(first_token_seconds=0.1), ended("truncated", first_token_seconds=0.1))).values
    assert done["fleet_stream_truncated_total{model=m,route=r,upstream=u}"] == 1


def test_how_long_a_cancel_took_is_known() -> None:
    done = scrape(books(ended("cancelled", cancel_seconds=0.004))).values
    assert done["fleet_cancel_seconds_bucket{le=0.005}"] == 1
    assert done["fleet_cancel_seconds_bucket{le=0.0025}"] == 0


def test_a_request_that_reached_no_upstream_says_none() -> None:
    done = scrape(books(ended("refused", of=call(upstream="", served="")))).values
    assert done[f"fleet_requests_total{{model={NONE},outcome=refused,route=r,upstream={NONE}}}"] == 1


def test_a_name_that_is_not_configured_is_other() -> None:
    done = scrape(books(ended("exploded", of=call(route="x", upstream="y", served="z")))).values
    assert done[f"fleet_requests_total{{model={OTHER},outcome={OTHER},route={OTHER},upstream={OTHER}}}"] == 1


@given(
    st.lists(
        st.tuples(*[st.sampled_from(["r", "u", "m", "", "odd", "x" * 50])] * 3, st.sampled_from([*OUTCOMES, "odd"]))
    )
)
def test_every_request_is_counted_exactly_once_under_bounded_labels(keys: list[tuple[str, str, str, str]]) -> None:
    metrics = books(*(ended(word, of=call(route, upstream, served)) for route, upstream, served, word in keys))
    assert sum(one.requests for one in metrics.series.values()) == len(keys)
    for route, upstream, model, outcome in metrics.series:
        assert {route, upstream, model} <= {"r", "u", "m", OTHER, NONE}
        assert outcome in (*OUTCOMES, OTHER)


def test_series_are_bounded_however_many_names_there_are() -> None:
    metrics = Metrics()
    metrics.follow(f"n{number}" for number in range(5000))
    for number in range(5000):
        metrics.ended(ended(of=call(f"n{number % 900}", f"n{number % 700}", f"n{number % 11}")))
    assert len(metrics.series) <= 2001
    assert sum(one.requests for one in metrics.series.values()) == 5000


def test_no_id_key_or_session_is_in_the_text() -> None:
    text = scrape(books(ended(of=call(shape=Shape(session="session-secret"))))).text
    assert "secret" not in text


@given(st.lists(st.floats(0, 500)))
def test_a_histogram_counts_every_value_once(values: list[float]) -> None:
    one = Histogram(FIRST_TOKEN_SECONDS)
    for value in values:
        one.add(value)
    assert sum(one.counts) == len(values)
    assert one.total == pytest.approx(sum(values))
    for bound in FIRST_TOKEN_SECONDS:
        below = sum(one.counts[: FIRST_TOKEN_SECONDS.index(bound) + 1])
        assert below == sum(value <= bound for value in values)


@given(st.lists(st.floats(0.0001, 100), min_size=1), st.floats(0.01, 0.99))
def test_a_percentile_lies_in_the_bucket_of_the_value_it_stands_for(values: list[float], share: float) -> None:
    one = Histogram(FIRST_TOKEN_SECONDS)
    for value in values:
        one.add(value)
    found = quantile(one.counts, FIRST_TOKEN_SECONDS, share)
    assert found is not None
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    bucket = next(index for index, bound in enumerate((*FIRST_TOKEN_SECONDS, math.inf)) if exact <= bound)
    low = FIRST_TOKEN_SECONDS[bucket - 1] if bucket else 0.0
    assert low - 1e-9 <= found <= FIRST_TOKEN_SECONDS[min(bucket, len(FIRST_TOKEN_SECONDS) - 1)] + 1e-9


def test_without_values_there_is_no_percentile() -> None:
    assert quantile([0] * (len(FIRST_TOKEN_SECONDS) + 1), FIRST_TOKEN_SECONDS, 0.5) is None


@given(st.lists(st.floats(0, 8000), max_size=60), st.floats(0, 200))
def test_the_last_minute_and_hour_hold_what_happened_then(times: list[float], later: float) -> None:
    recent = Recent(FIRST_TOKEN_SECONDS)
    for at in sorted(times):
        recent.add(at, failed=False, prompt=1, completion=2, first_token_seconds=None)
    now = max(times, default=0.0) + later
    for lately, slot, slots in ((recent.minute(now), 5.0, 12), (recent.hour(now), 60.0, 60)):
        within = [at for at in times if int(now / slot) - slots < int(at / slot)]
        assert lately.requests == len(within)
        assert lately.completion_tokens == 2 * len(within)
        assert len([at for at in times if now - at < slot * (slots - 1)]) <= lately.requests


def test_state_and_breaker_of_an_upstream_are_numbers() -> None:
    done = scrape(books()).values
    assert done["fleet_upstream_state{model=m,node=mini-1,state=ready,upstream=u}"] == 1
    assert done["fleet_upstream_state{model=m,node=mini-1,state=down,upstream=u}"] == 0
    assert done["fleet_upstream_ready{model=m,node=mini-1,upstream=u}"] == 1
    assert done["fleet_upstream_breaker_state{model=m,node=mini-1,upstream=u}"] == 1
    assert done["fleet_upstream_outstanding_tokens{model=m,node=mini-1,upstream=u}"] == 120
    assert done["fleet_in_flight{phase=waiting}"] == 2
    assert done["fleet_queue_depth{lane=batch}"] == 1
    assert done["fleet_retries_refused_total{}"] == 3
    assert done["fleet_prefix_hit_ratio{kind=real,node=mini-1,upstream=u}"] == 0.64
    assert done["fleet_prefix_hit_ratio{kind=predicted,node=mini-1,upstream=u}"] == 0.5


def test_what_the_system_does_not_tell_has_no_series() -> None:
    assert "process_" not in scrape(books(), process=ProcessReading()).text


def test_the_peak_of_memory_is_bytes_on_both_systems() -> None:
    assert peak_bytes(50_000, "linux") == peak_bytes(51_200_000, "darwin") == 51_200_000
    reading = read_process()
    assert reading.peak_bytes is not None
    assert 5_000_000 < reading.peak_bytes < 50_000_000_000
    assert reading.open_files is not None
    assert reading.open_files > 2


def test_those_whom_health_avoided_are_counted_under_names_of_the_configuration() -> None:
    avoided = (Avoided(node="n", upstream="u", reason="pace"), Avoided(node="n", upstream="sk-odd", reason="headroom"))
    done = scrape(books(ended(of=call(avoided=avoided)), ended(of=call(avoided=avoided[:1])), ended())).values
    assert done["fleet_health_avoided_total{reason=pace,upstream=u}"] == 2
    assert done["fleet_health_avoided_total{reason=headroom,upstream=other}"] == 1
    assert done["fleet_upstream_standing{model=m,node=mini-1,upstream=u}"] == 0


def everything() -> str:
    metrics = books(
        ended(of=call(avoided=(Avoided(node="n", upstream="u", reason="pace"),))),
        ended(of=call(chunks=3, queued_seconds=1), first_token_seconds=0.1, usage=USAGE),
        ended("cancelled", cancel_seconds=0.01),
    )
    metrics.refused_at_the_door(401)
    return scrape(metrics).text


def test_names_follow_the_rules() -> None:
    for family in text_string_to_metric_families(everything()):
        name = family.name
        assert re.fullmatch(r"(fleet|process)_[a-z0-9_]+", name)
        assert family.documentation, name
        counter = f"# TYPE {name}_total counter" in everything()
        assert counter == (family.type == "counter"), name
        if family.type == "histogram":
            assert name.endswith("_seconds"), name


def test_every_family_is_documented_and_every_documented_one_is_there() -> None:
    given_names = set(re.findall(r"^# TYPE (\S+)", everything(), re.MULTILINE))
    of_fronts = r"^## (?:The fleet, as a front sees it|Money and policy)$.*?(?=^## )"  # others look at those
    told = re.sub(of_fronts, "", DOCS.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"^\| `(fleet_[a-z0-9_]+|process_[a-z0-9_]+)", told, re.MULTILINE)) == given_names


def test_what_belongs_to_money_is_not_exported_as_zero() -> None:
    assert not re.search(r"fleet_(gray|budget|ledger|tool_calls)", everything())


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine")
def test_promtool_finds_nothing_to_say() -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=everything(), text=True, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


async def test_a_running_gateway_counts_what_happens(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx()
    async with operated(tmp_path, sidecar(fake)) as one:
        await until(lambda: one.gateway.upstreams.live["mini-1.chat"].proven_at is not None)
        assert (await one.chat()).status == 200
        assert len(await (await one.chat(stream=True)).read()) > 100
        fake.script = sends(STREAM_HEAD + chunk(content="x"))
        await (await one.chat(stream=True)).read()
        ours = 'route="smol",upstream="mini-1.chat",model="smol"'
        found = await one.families()
        assert found[f'fleet_requests_total{{{ours},outcome="ok"}}'] == "2"
        assert found[f'fleet_requests_total{{{ours},outcome="truncated"}}'] == "1"
        assert found[f"fleet_stream_truncated_total{{{ours}}}"] == "1"
        assert int(found[f'fleet_tokens_total{{{ours},outcome="ok",direction="output"}}']) > 0
        assert found[f'fleet_time_to_first_token_seconds_count{{{ours},outcome="ok"}}'] == "2"
        assert found['fleet_route_info{route="smol",track="private"}'] == "1"
        assert found[
            f'fleet_gateway_info{{version="{fleet.__version__}",role="edge",config_sha256="{one.current.loaded.sha256}"}}'
        ]
        assert 'fleet_upstream_ready{node="",upstream="mini-1.chat",model="smol"}' in found


async def test_a_client_that_left_is_in_the_histogram_of_cancels(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx(hangs)
    async with operated(tmp_path, sidecar(fake)) as one:
        answer = one.http.post(
            f"{one.url}/v1/chat/completions",
            json={"model": "smol", "messages": [{"role": "user", "content": "hi"}]},
            headers={"x-api-key": KEY},
        )
        asking = asyncio.ensure_future(answer)
        await fake.next()
        found = await one.families()
        assert found['fleet_in_flight{phase="waiting"}'] == "1"
        asking.cancel()
        await until(lambda: one.books.words == ["cancelled"])
        assert (await one.families())["fleet_cancel_seconds_count"] == "1"


async def test_metrics_need_a_key_of_the_scope_node(tmp_path: Path) -> None:
    async with operated(tmp_path) as one:
        assert (await one.get("/metrics", key=None)).status == 401
        assert (await one.get("/metrics")).status == 403
        for path in ("/metrics", "/node/metrics"):
            answer = await one.get(path, key=BOSS)
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
