"""The pace of a node's own sidecars: measured on live answers, told at the admin door, to the agent's key too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_mlx import STREAM_HEAD, Exchange, FakeMlx, Script, answers, chunk, hangs, head, sends
from gateway_harness import KEY, sidecar, until
from gateway_operated import AGENT_KEY, BOSS, Operated, operated
from hypothesis import given
from hypothesis import strategies as st

from fleet.engines import ErrorKind, UpstreamError
from fleet.node.gateway.call import Phase
from fleet.node.gateway.failures import UpstreamFailure, broken, passed_over, unreachable
from fleet.node.gateway.paces import Crowd, Pace, Timing
from fleet.traffic.pace import WINDOW_SECONDS, Decoding
from fleet.vocabulary.contracts.gateway_admin import PaceReport, UpstreamPace

REFUSES = head(503) + b'{"error": "generation thread died"}'


def speaks(one: Operated, tokens: int = 20, *, usage: bool = True, whole: bool = True, together: int = 1) -> Script:
    """An answer of so many tokens, the first when asked, the rest when the gateway has that of so many answers."""
    all_begun = asyncio.Event()

    def begun() -> bool:
        if sum(live.call.phase is Phase.ANSWERING for live in one.gateway.calls) >= together:
            all_begun.set()
        return all_begun.is_set()

    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunk(content="t"))
        await until(begun)
        await asyncio.sleep(0.02)
        await exchange.send(b"".join(chunk(content="t") for _ in range(tokens - 1)))
        if not whole:
            await exchange.gone.wait()
            return
        told = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": tokens}}
        last = b"data: " + json.dumps(told).encode() + b"\n\n" if usage else b""
        await exchange.send(chunk(finish="stop") + last + b"data: [DONE]\n\n")

    return script


async def pace_of(one: Operated, name: str = "mini-1.chat", *, key: str = AGENT_KEY) -> UpstreamPace:
    status, body = await one.ask("/admin/pace", key=key)
    assert status == 200, body
    report = msgspec.convert(body, PaceReport)
    assert (report.node, report.window_seconds) == ("mini-1", WINDOW_SECONDS)
    return next(found for found in report.upstreams if found.name == name)


@asynccontextmanager
async def speaking(folder: Path, mlx: Any, tokens: int = 20, **how: Any) -> AsyncIterator[tuple[Operated, FakeMlx]]:
    """A gateway with a proven sidecar that answers like this."""
    fake: FakeMlx = await mlx()
    async with operated(folder, sidecar(fake)) as one:
        live = one.gateway.upstreams.live["mini-1.chat"]
        await until(lambda: live.proven_at is not None)
        fake.script = speaks(one, tokens, **how)
        yield one, fake


async def test_an_answer_speaks_of_its_tokens_and_of_the_time_that_they_took(tmp_path: Path, mlx: Any) -> None:
    async with speaking(tmp_path, mlx) as (one, fake):
        before = await pace_of(one)
        assert (before.port, before.serves, before.rows, before.answered_seconds_ago) == (fake.port, "smol", (), None)
        for stream in (True, False):
            fake.script = speaks(one)
            await (await one.chat(stream=stream)).read()
        found = await pace_of(one)
        (row,) = found.rows
        assert (row.at_once, row.answers, row.tokens) == (1, 2, 38)
        assert found.recent == found.rows
        assert row.seconds > 0.03
        assert row.first_token_seconds is not None
        assert found.answered_seconds_ago is not None
        assert (found.in_flight, found.waiting, found.refusing_seconds) == (0, 0, None)


async def test_answers_of_a_few_tokens_say_nothing_of_pace_but_that_it_serves(tmp_path: Path, mlx: Any) -> None:
    async with speaking(tmp_path, mlx, 7) as (one, _):
        await (await one.chat(stream=True)).read()
        found = await pace_of(one)
        assert found.rows == ()
        assert found.answered_seconds_ago is not None


async def test_tokens_are_counted_by_chunks_where_no_usage_was_told(tmp_path: Path, mlx: Any) -> None:
    async with speaking(tmp_path, mlx, usage=False) as (one, _):
        await (await one.chat(stream=True)).read()
        (row,) = (await pace_of(one)).rows
        assert 19 <= row.tokens <= 22


async def test_a_cancelled_answer_counts_for_what_it_gave_and_is_no_whole_one(tmp_path: Path, mlx: Any) -> None:
    async with speaking(tmp_path, mlx, whole=False) as (one, _):
        answer = await one.chat(stream=True)
        for _ in range(20):
            await answer.content.readuntil(b"\n\n")
        answer.close()
        await until(lambda: one.books.words == ["cancelled"])
        found = await pace_of(one)
        (row,) = found.rows
        assert (row.answers, row.tokens) == (1, 19)
        assert found.answered_seconds_ago is None


async def test_a_long_answer_tells_its_pace_before_it_ends_and_nothing_twice(tmp_path: Path, mlx: Any) -> None:
    async with speaking(tmp_path, mlx, whole=False) as (one, fake):
        fake.script = speaks(one, whole=False)
        answer = await one.chat(stream=True)
        exchange = await fake.next()
        for _ in range(20):
            await answer.content.readuntil(b"\n\n")
        for _ in range(2):
            found = await pace_of(one)
            (row,) = found.rows
            assert (found.in_flight, row.answers, row.tokens) == (1, 1, 19)
        rest = b"".join(chunk(content="t") for _ in range(3))
        told = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 23}}
        last = b"data: " + json.dumps(told).encode() + b"\n\ndata: [DONE]\n\n"
        await exchange.send(rest + chunk(finish="stop") + last)
        exchange.gone.set()
        await answer.read()
        (row,) = (await pace_of(one)).rows
        assert (row.answers, row.tokens) == (1, 22)


async def test_those_that_ran_beside_others_are_in_a_bucket_of_their_own(tmp_path: Path, mlx: Any) -> None:
    async with speaking(tmp_path, mlx, together=4) as (one, _):
        streams = await asyncio.gather(*(one.chat(stream=True) for _ in range(4)))
        for answer in streams:
            await answer.read()
        rows = (await pace_of(one)).rows
        assert sum(row.answers for row in rows) == 4
        assert max(row.at_once for row in rows) > 1


async def test_one_that_waits_for_its_first_token_is_told_as_waiting(tmp_path: Path, mlx: Any) -> None:
    async with speaking(tmp_path, mlx) as (one, fake):
        fake.script = hangs
        asking = asyncio.ensure_future(one.chat())
        await fake.next()
        found = await pace_of(one)
        assert (found.in_flight, found.waiting) == (1, 1)
        asking.cancel()


async def test_a_sidecar_that_says_503_to_requests_and_probes_refuses_until_it_answers(
    tmp_path: Path, mlx: Any
) -> None:
    async with speaking(tmp_path, mlx) as (one, fake):
        fake.script, fake.probe = sends(REFUSES), sends(REFUSES)
        assert (await one.chat()).status == 503
        first = (await pace_of(one)).refusing_seconds
        assert first is not None
        probes = len(fake.exchanges)
        await until(lambda: len(fake.exchanges) > probes + 1)
        later = (await pace_of(one)).refusing_seconds
        assert later is not None
        assert later > first  # since when, and not how long ago the last refusal was
        fake.script = fake.probe = answers
        live = one.gateway.upstreams.live["mini-1.chat"]
        await until(lambda: live.pace is not None and live.pace.refusing_since is None)
        assert (await one.chat()).status == 200


async def test_probes_alone_tell_of_one_that_refuses_from_the_start(tmp_path: Path, mlx: Any) -> None:
    async with operated(tmp_path, sidecar(await mlx(probe=sends(REFUSES)))) as one:
        live = one.gateway.upstreams.live["mini-1.chat"]
        await until(lambda: live.pace is not None and live.pace.refusing_since is not None)
        assert (await pace_of(one)).refusing_seconds is not None


async def test_a_new_configuration_of_the_same_server_forgets_nothing(tmp_path: Path, mlx: Any) -> None:
    async with speaking(tmp_path, mlx) as (one, _):
        await (await one.chat()).read()
        live = one.gateway.upstreams.live["mini-1.chat"]
        changed = msgspec.json.decode(one.config_file.read_bytes())
        changed["upstreams"][0]["max_in_flight"] = 3
        one.config_file.write_bytes(msgspec.json.encode(changed))
        assert one.current.reload()
        one.gateway.follow()
        assert one.gateway.upstreams.live["mini-1.chat"] is not live
        assert (await pace_of(one)).rows[0].answers == 1


async def test_only_sidecars_of_this_node_have_a_pace(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx()
    other = sidecar(fake, "api.x", kind="api", engine="openai_compatible")
    async with operated(tmp_path, sidecar(fake), other) as one:
        status, body = await one.ask("/admin/pace")
        assert (status, [found["name"] for found in body["upstreams"]]) == (200, ["mini-1.chat"])


async def test_pace_is_counted_in_the_metrics_too(tmp_path: Path, mlx: Any) -> None:
    async with speaking(tmp_path, mlx) as (one, _):
        ours = '{node="",upstream="mini-1.chat",model="smol"}'
        assert f"fleet_decode_tokens_total{ours}" not in await one.families()
        await (await one.chat()).read()
        found = await one.families()
        assert found[f"fleet_decode_tokens_total{ours}"] == "19"
        assert float(found[f"fleet_decode_seconds_total{ours}"]) > 0.01


# ---------------------------------------------------------------- who may ask


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("x", 401), (KEY, 403), (AGENT_KEY, 200), (BOSS, 200)])
async def test_pace_and_intent_are_for_the_agent_and_the_operator(tmp_path: Path, key: str | None, status: int) -> None:
    async with operated(tmp_path) as one:
        assert (await one.ask("/admin/pace", key=key))[0] == status
        assert (await one.ask("/admin/intent", key=key))[0] == status
        assert (await one.ask("/admin/intent", {"intent": "serving"}, key=key))[0] == status


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/admin/requests", None),
        ("/admin/requests/x/kill", {}),
        ("/admin/routes", None),
        ("/admin/explain", {"prompt": "x"}),
        ("/admin/pace", {}),
        ("/admin/nothing", None),
        ("/admin/pace/../routes", None),
    ],
)
async def test_the_agents_key_opens_nothing_else(tmp_path: Path, path: str, body: Any) -> None:
    async with operated(tmp_path) as one:
        status, answer = await one.ask(path, body, key=AGENT_KEY)
        assert (status, answer["error"]["code"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/status", "/metrics", "/node/snapshot", "/node/metrics"])
async def test_the_agents_key_is_nothing_at_the_port_of_clients(tmp_path: Path, path: str) -> None:
    async with operated(tmp_path) as one:
        assert (await one.get(path, key=AGENT_KEY)).status == 403
        assert (await one.chat(key=AGENT_KEY)).status == 403


async def test_whatever_the_agents_key_says_it_is_the_agent_that_asks(tmp_path: Path, mlx: Any) -> None:
    async with operated(tmp_path, sidecar(await mlx())) as one:
        drain, serve = {"intent": "draining", "by": "ann@laptop"}, {"intent": "serving", "by": "ann@laptop"}
        _, said = await one.ask("/admin/intent", drain, key=AGENT_KEY)
        assert said["sidecars"][0]["by"] == "agent: ann@laptop"
        await one.ask("/admin/intent", drain)
        _, said = await one.ask("/admin/intent", serve, key=AGENT_KEY)
        assert (said["sidecars"][0]["intent"], said["sidecars"][0]["by"]) == ("drained", "ann@laptop")


# ---------------------------------------------------------------- what is counted


@given(st.lists(st.tuples(st.integers(1, 100), st.sampled_from([1, -1])), max_size=30))
def test_the_crowd_is_the_sum_of_all_stays(steps: list[tuple[int, int]]) -> None:
    crowd, now, there, exact = Crowd(), 0, 0, 0
    for seconds, by in steps:
        exact += there * seconds
        now += seconds
        by = by if there + by >= 0 else 1
        there += by
        crowd.change(by, now)
        assert crowd.seconds(now) == exact
    assert crowd.seconds(now + 10) == exact + 10 * there


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=8))
def test_an_answer_ran_beside_as_many_as_there_were_on_average(stays: list[tuple[int, int]]) -> None:
    """The first is measured: it comes at 0 and has its first token at once. The others come and go as they like."""
    over = stays[0][1]
    crowd = Crowd()
    crowd.change(1, 0)
    timing = Timing(crowd, asked_at=0, now=0)
    moves = [move for at, seconds in stays[1:] for move in ((at, 1), (at + seconds, -1))]
    for at, by in sorted(move for move in moves if move[0] < over):
        crowd.change(by, at)
    timing.look(crowd, over)
    beside = sum(max(0, min(at + seconds, over) - at) for at, seconds in stays[1:])
    assert timing.piece(9, over).at_once == pytest.approx(1 + beside / over)


PIECES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=8)


@given(PIECES, st.integers(0, 40), st.integers(1, 20))
def test_an_answer_in_pieces_is_the_same_answer(pieces: list[tuple[int, int]], rest: int, rest_seconds: int) -> None:
    pace = Pace()
    pace.crowd.change(1, 0.0)
    timing = Timing(pace.crowd, asked_at=0.0, now=0.0)
    chunks, now = 1, 0
    for tokens, seconds in pieces:
        chunks, now = chunks + tokens, now + seconds
        pace.so_far(timing, now, chunks=chunks, at=now, unread_seconds=0.0)
        assert pace.tokens_total <= chunks - 1
        assert pace.seconds_total <= now
    chunks, now = chunks + rest, now + rest_seconds
    timing.look(pace.crowd, now)
    timing.over_at = now
    pace.ended(timing, now, whole=True, usage={"completion_tokens": chunks}, chunks=chunks, unread_seconds=0.0)
    whole = Decoding(at_once=1.0, tokens=chunks - 1, seconds=now, first_token_seconds=0.0)
    if whole.tokens and whole.speaks:
        assert pace.tokens_total == chunks - 1
        assert sum(row.answers for row in pace.window.rows(now)) == 1 or now > WINDOW_SECONDS
        assert pace.seconds_total == now or rest == 0  # a silent end is not decoding


def test_a_piece_that_its_client_delayed_is_left_out_and_the_next_one_counts() -> None:
    pace = Pace()
    pace.crowd.change(1, 0.0)
    timing = Timing(pace.crowd, asked_at=0.0, now=0.0)
    for now, unread_seconds in ((5.0, 0.0), (10.0, 4.0), (15.0, 4.0)):
        pace.so_far(timing, now, chunks=int(now) * 4 + 1, at=now, unread_seconds=unread_seconds)
    (row,) = pace.window.rows(15.0)
    assert (row.answers, row.tokens, row.seconds) == (1, 40, 10.0)


def timed(seconds: float) -> Timing:
    crowd = Crowd()
    crowd.change(1, 0.0)
    timing = Timing(crowd, asked_at=0.0, now=1.0)
    timing.look(crowd, 1.0 + seconds)
    timing.over_at = 1.0 + seconds
    return timing


@pytest.mark.parametrize(("unread_seconds", "answers"), [(0.0, 1), (0.05, 1), (0.5, 0)])
def test_what_a_client_that_reads_slowly_delayed_says_nothing_of_the_server(
    unread_seconds: float, answers: int
) -> None:
    pace = Pace()
    pace.ended(timed(2.0), 3.0, whole=True, usage=None, chunks=50, unread_seconds=unread_seconds)
    assert sum(row.answers for row in pace.window.rows(3.0)) == answers
    assert pace.answered_at == 3.0


@pytest.mark.parametrize("usage", [{"completion_tokens": "7"}, {"completion_tokens": True}, {}, None])
def test_odd_usage_is_no_usage(usage: Any) -> None:
    pace = Pace()
    pace.ended(timed(2.0), 3.0, whole=True, usage=usage, chunks=50, unread_seconds=0.0)
    assert pace.tokens_total == 49


def test_it_refuses_only_when_it_was_reached_and_said_so() -> None:
    said = UpstreamError(kind=ErrorKind.UNAVAILABLE, message="not able to generate", retryable=True, eject=True)
    pace = Pace()
    for failure in (passed_over("money"), broken("cut"), unreachable("refused")):
        pace.failed(failure, 1.0)
        assert pace.refusing_since is None
    pace.failed(UpstreamFailure(said), 2.0)
    pace.failed(UpstreamFailure(said), 3.0)
    pace.failed(broken("cut"), 4.0)
    assert pace.refusing_since == 2.0
    pace.failed(unreachable("its process is gone"), 5.0)
    assert pace.refusing_since is None
