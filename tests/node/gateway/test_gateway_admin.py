"""The admin door: who may use it, what it shows, and that what it ends is told why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fake_mlx import STREAM_HEAD, chunk, hangs, sends_and_hangs
from gateway_harness import KEY, events, sidecar, until
from gateway_operated import BOSS, operated

from fleet.node.gateway.call import Phase


@pytest.mark.parametrize(
    ("key", "status", "code"), [(None, 401, "invalid_api_key"), ("x", 401, "invalid_api_key"), (KEY, 403, "scope")]
)
async def test_only_a_key_with_the_scope_admin_opens_it(
    tmp_path: Path, key: str | None, status: int, code: str
) -> None:
    async with operated(tmp_path) as one:
        answered, body = await one.ask("/admin/requests", key=key)
        assert answered == status
        assert code in body["error"]["code"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "mini-1:8792", "10.0.0.4", "localhost:x"])
async def test_it_answers_under_no_name_but_loopbacks(tmp_path: Path, host: str) -> None:
    async with operated(tmp_path) as one:
        status, body = await one.ask("/admin/requests", Host=host)
        assert (status, body["error"]["code"]) == (421, "wrong_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8792", "127.0.0.1:1", "[::1]:8792"])
async def test_it_answers_under_loopbacks_names(tmp_path: Path, host: str) -> None:
    async with operated(tmp_path) as one:
        assert (await one.ask("/admin/requests", Host=host))[0] == 200


async def test_a_page_of_another_origin_is_given_no_permission(tmp_path: Path) -> None:
    async with operated(tmp_path) as one:
        answer = await one.http.options(
            f"{one.admin}/admin/intent",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        )
        assert answer.status == 403
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_it_is_not_on_the_port_that_clients_use(tmp_path: Path) -> None:
    async with operated(tmp_path) as one:
        assert (await one.get("/admin/requests", key=BOSS)).status == 404


async def test_every_error_has_our_shape(tmp_path: Path) -> None:
    async with operated(tmp_path) as one:
        status, body = await one.ask("/admin/nothing")
        assert (status, set(body["error"])) == (404, {"message", "type", "param", "code"})
        assert (await one.ask("/admin/requests", {}, method="POST"))[0] == 405
        status, body = await one.ask("/admin/intent", b"[")
        assert (status, body["error"]["code"]) == (400, "invalid_request")
        status, body = await one.ask("/admin/intent", {"intent": "asleep"})
        assert (status, body["error"]["code"]) == (400, "invalid_request")


async def test_a_body_that_is_too_long_is_refused_and_a_prompt_may_be_longer(tmp_path: Path, mlx: Any) -> None:
    async with operated(tmp_path, sidecar(await mlx())) as one:
        long = "x" * 100_000
        assert (await one.ask("/admin/intent", {"intent": "serving", "by": long}))[0] == 413
        assert (await one.ask("/admin/explain", {"model": "smol", "prompt": long}))[0] == 200
        assert (await one.ask("/admin/explain", {"prompt": "x" * (9 * 1024 * 1024)}))[0] == 413


async def test_the_list_of_requests_shows_each_phase_and_no_prompt(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx(hangs)
    async with operated(tmp_path, sidecar(fake, max_in_flight=2)) as one:
        secret = [{"role": "user", "content": "my secret plan"}]
        tasks = [asyncio.create_task(one.chat(stream=True, messages=secret)) for _ in range(2)]
        first, _ = await fake.next(), await fake.next()
        tasks.append(asyncio.create_task(one.chat(messages=secret)))
        await first.send(STREAM_HEAD + chunk(content="a") + chunk(content="b"))
        await until(lambda: {live.call.phase for live in one.gateway.calls} == set(Phase))
        status, body = await one.ask("/admin/requests")
        assert status == 200
        assert {each["phase"] for each in body["requests"]} == {"queued", "waiting", "answering"}
        by_phase = {each["phase"]: each for each in body["requests"]}
        assert by_phase["answering"]["upstream"] == "mini-1.chat"
        assert by_phase["answering"]["first_token_seconds"] >= 0
        assert by_phase["waiting"]["first_token_seconds"] is None
        assert by_phase["queued"]["upstream"] == ""
        assert by_phase["queued"]["stream"] is False
        assert {each["key"] for each in body["requests"]} == {"ann"}
        assert {each["surface"] for each in body["requests"]} == {"chat"}
        assert "secret plan" not in str(body)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_killed_unary_request_gets_an_error_that_says_why_and_that_no_client_retries(
    tmp_path: Path, mlx: Any
) -> None:
    fake = await mlx(hangs)
    async with operated(tmp_path, sidecar(fake)) as one:
        asked = asyncio.create_task(one.chat())
        exchange = await fake.next()
        (live,) = one.gateway.calls
        status, body = await one.ask(f"/admin/requests/{live.call.request_id}/kill", {"reason": "it  ran\nall night"})
        assert (status, body["id"]) == (200, live.call.request_id)
        answer = await asked
        error = (await answer.json())["error"]
        assert answer.status == 410
        assert error["code"] == "killed_by_operator"
        assert error["message"] == "the operator ended this request: it ran all night"
        await asyncio.wait_for(exchange.gone.wait(), 5)
        assert one.books.words == ["ended"]
        one.journal.flush()
        assert f"killed id={live.call.request_id}" in one.said.text
        assert "by=boss" in one.said.text


async def test_a_killed_stream_ends_with_an_error_event_and_no_done(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx(sends_and_hangs(STREAM_HEAD + chunk(content="x")))
    async with operated(tmp_path, sidecar(fake)) as one:
        answer = await one.chat(stream=True)
        exchange = await fake.next()
        (live,) = one.gateway.calls
        await until(lambda: live.call.phase is Phase.ANSWERING)
        assert (await one.ask(f"/admin/requests/{live.call.request_id}/kill", {}))[0] == 200
        *_, last = events(await answer.read())
        assert last["error"]["code"] == "killed_by_operator"
        assert last["choices"][0]["finish_reason"] == "error"
        await asyncio.wait_for(exchange.gone.wait(), 5)


async def test_a_request_that_waits_for_a_place_can_be_killed(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx(hangs)
    async with operated(tmp_path, sidecar(fake, max_in_flight=1)) as one:
        holder = asyncio.create_task(one.chat())
        await fake.next()
        waiter = asyncio.create_task(one.chat())
        await until(lambda: [live for live in one.gateway.calls if live.call.phase is Phase.QUEUED])
        (queued,) = [live for live in one.gateway.calls if live.call.phase is Phase.QUEUED]
        assert (await one.ask(f"/admin/requests/{queued.call.request_id}/kill", {}))[0] == 200
        assert (await waiter).status == 410
        assert len(one.gateway.calls) == 1
        holder.cancel()


async def test_killing_what_is_not_in_flight_is_404_and_says_what_to_do(tmp_path: Path) -> None:
    async with operated(tmp_path) as one:
        status, body = await one.ask("/admin/requests/req_1/kill", {"reason": ""})
        assert (status, body["error"]["code"]) == (404, "request_not_found")
        assert "fleet ps" in body["error"]["message"]


async def test_routes_say_how_each_upstream_does_and_why(tmp_path: Path, mlx: Any) -> None:
    well, gone = await mlx(), await mlx()
    await gone.stop()
    async with operated(tmp_path, sidecar(well), sidecar(gone, "mini-1.dead", serves="dead")) as one:
        live = one.gateway.upstreams.live
        await until(
            lambda: live["mini-1.chat"].proven_at is not None and live["mini-1.dead"].reason != "not proven yet"
        )
        status, body = await one.ask("/admin/routes")
        assert status == 200
        assert body["config_sha256"] == one.current.loaded.sha256
        found = {each["name"]: each for route in body["routes"] for each in route["upstreams"]}
        assert (found["mini-1.chat"]["state"], found["mini-1.chat"]["reason"]) == ("ready", "")
        assert found["mini-1.chat"]["seen_seconds_ago"] >= 0
        assert found["mini-1.dead"]["state"] == "down"
        assert found["mini-1.dead"]["reason"]


async def test_explain_says_what_the_relay_would_do_and_why(tmp_path: Path, mlx: Any) -> None:
    well, other = await mlx(), await mlx()
    async with operated(tmp_path, sidecar(well), sidecar(other, "mini-1.other")) as one:
        live = one.gateway.upstreams.live
        await until(lambda: all(each.proven_at is not None for each in live.values()))
        await one.ask("/admin/intent", {"intent": "draining", "sidecar": "mini-1.chat"})
        status, body = await one.ask("/admin/explain", {"model": "smol", "prompt": "hi " * 500, "max_tokens": 7})
        assert (status, body["attempts"], body["refused"]) == (200, ["mini-1.other"], "")
        assert body["reasons"]["mini-1.chat"] == "drained"
        assert [each["state"] for each in body["upstreams"]] == ["drained", "ready"]
        assert body["output_tokens"] == 7
        assert body["prompt_tokens"] > 100
        answer = await one.chat()
        assert answer.headers["x-fleet-upstream"] == "mini-1.other"


async def test_explain_says_why_nobody_would_be_asked(tmp_path: Path, mlx: Any) -> None:
    async with operated(tmp_path, sidecar(await mlx(), context_tokens=100)) as one:
        asked: dict[str, Any] = {"model": "smol", "prompt": "word " * 2000}
        assert "longest context here is 100" in (await one.ask("/admin/explain", asked))[1]["refused"]
        asked = {"model": "smol", "work": "embeddings"}
        assert "offers embeddings" in (await one.ask("/admin/explain", asked))[1]["refused"]
        await one.ask("/admin/intent", {"intent": "draining"})
        assert "this node is drained" in (await one.ask("/admin/explain", {}))[1]["refused"]


@pytest.mark.parametrize(
    ("asked", "status", "code"), [({"model": "x"}, 404, "model_not_found"), ({"work": "art"}, 400, "invalid_value")]
)
async def test_explain_refuses_what_it_does_not_know(
    tmp_path: Path, mlx: Any, asked: dict[str, str], status: int, code: str
) -> None:
    async with operated(tmp_path, sidecar(await mlx())) as one:
        answered, body = await one.ask("/admin/explain", asked)
        assert (answered, body["error"]["code"]) == (status, code)
