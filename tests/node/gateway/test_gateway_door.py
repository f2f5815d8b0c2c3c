"""A deploy on the node: it drains what it is about to stop, closes the gateway's own door, and takes back only that."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fake_mlx import STREAM_HEAD, chunk, sends_and_hangs
from gateway_harness import sidecar, until
from gateway_operated import AGENT_KEY, operated
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.gateway.intent import Wish, apply, report
from fleet.vocabulary.contracts.gateway_admin import IntentRequest
from fleet.vocabulary.names import Intent

NAMES = ("a", "b")
WHO = ["ann@laptop", "agent: it is hung", "deploy: run-1"]
asked = st.builds(
    IntentRequest, intent=st.sampled_from(Intent), sidecar=st.sampled_from([None, *NAMES]), by=st.sampled_from(WHO)
)


def drained(requests: list[IntentRequest]) -> dict[str, str]:
    wishes: Any = {}
    for request in requests:
        wishes = apply(wishes, request, sidecars=NAMES, now=1.0)
    return {one.name: one.by for one in report(wishes, dict.fromkeys(NAMES, 0), now=2.0) if one.by}


@given(st.lists(asked, max_size=10))
def test_a_deploy_changes_nothing_of_what_operator_and_agent_want(requests: list[IntentRequest]) -> None:
    others = [one for one in requests if not one.by.startswith("deploy:")]
    assert {name: by for name, by in drained(requests).items() if not by.startswith("deploy:")} == drained(others)


@given(st.lists(asked, max_size=10))
def test_after_a_deploy_resumed_nothing_is_drained_by_a_deploy(requests: list[IntentRequest]) -> None:
    resumed = IntentRequest(intent=Intent.SERVING, by="deploy: run-2")
    assert not [by for by in drained([*requests, resumed]).values() if by.startswith("deploy:")]


def test_a_deploy_frees_a_sidecar_that_its_own_release_took_away() -> None:
    wishes = apply({}, IntentRequest(intent=Intent.DRAINING, by="deploy: r"), sidecars=["a", "old"], now=1.0)
    assert apply(wishes, IntentRequest(intent=Intent.SERVING, by="deploy: r"), sidecars=["a"], now=2.0) == {}


def test_what_a_deploy_drained_is_the_agents_when_the_agent_wants_it_drained_too() -> None:
    both = [IntentRequest(intent=Intent.DRAINING, sidecar="a", by=by) for by in ("deploy: r", "agent: it is hung")]
    assert drained([*both, IntentRequest(intent=Intent.SERVING, by="deploy: r")]) == {"a": "agent: it is hung"}


def test_the_upgrade_of_a_gateway_that_knew_no_deploys_resumes_what_it_drained() -> None:
    """The older one had taken the deploy for the agent, and kept it so on the disk."""
    older = {"a": Wish(intent=Intent.DRAINING, since_seconds=1.0, by="agent: deploy: run-1")}
    assert apply(older, IntentRequest(intent=Intent.SERVING, by="deploy: run-1"), sidecars=NAMES, now=2.0) == {}


async def test_a_closed_door_refuses_new_requests_and_finishes_those_that_run(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx(sends_and_hangs(STREAM_HEAD + chunk("first")))
    async with operated(tmp_path, sidecar(fake, max_in_flight=2)) as one:
        running = asyncio.create_task(one.chat(stream=True))
        await until(lambda: len(one.gateway.calls) == 1)
        closing = {"intent": "draining", "by": "deploy: run-1"}
        assert (await one.ask("/admin/door", closing, key=AGENT_KEY))[1]["intent"] == "draining"
        refused = await one.chat()
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        assert (await one.get("/readyz")).status == 503
        assert (await one.ask("/admin/door", key=AGENT_KEY))[1] == {
            "node": "mini-1", "intent": "draining", "in_flight": 1, "schema": 1,
        }  # fmt: skip
        running.cancel()
        await until(lambda: not len(one.gateway.calls))
        assert (await one.ask("/admin/door", key=AGENT_KEY))[1]["intent"] == "drained"
        assert (await one.ask("/admin/door", {"intent": "serving"}, key=AGENT_KEY))[1]["intent"] == "serving"
        assert (await one.get("/readyz")).status == 200


async def test_a_door_whose_closer_died_opens_again_by_itself(tmp_path: Path, mlx: Any) -> None:
    async with operated(tmp_path, sidecar(await mlx())) as one:
        for _ in range(2):
            await one.ask("/admin/door", {"intent": "draining", "seconds": 0.05}, key=AGENT_KEY)
            assert (await one.chat()).status == 503
        async with asyncio.timeout(20):
            while (await one.ask("/admin/door"))[1]["intent"] != "serving":
                await asyncio.sleep(0.01)
        assert (await one.chat()).status == 200
        assert (await one.ask("/admin/door", {"intent": "draining", "seconds": 0}))[0] == 400


@pytest.mark.parametrize(("by", "kept"), [("deploy: r", "deploy: r"), ("me", "agent: me")])
async def test_the_key_of_the_node_itself_speaks_as_deploy_or_agent_and_never_as_an_operator(
    tmp_path: Path, mlx: Any, by: str, kept: str
) -> None:
    async with operated(tmp_path, sidecar(await mlx())) as one:
        _, said = await one.ask("/admin/intent", {"intent": "draining", "by": by}, key=AGENT_KEY)
        assert [car["by"] for car in said["sidecars"]] == [kept]
