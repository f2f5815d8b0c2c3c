"""What the operator wants of a node's sidecars: kept, followed, and told to whoever asks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_mlx import STREAM_HEAD, chunk, sends_and_hangs
from gateway_harness import KEY, events, sidecar, until, write_config
from gateway_operated import operated
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.gateway.intent import NoSuchSidecar, Wish, apply, report, seen, turned_away
from fleet.node.gateway.intent_store import IntentStore
from fleet.traffic.choice import Choice, Why
from fleet.traffic.config import Probing, Upstream
from fleet.vocabulary.contracts.gateway_admin import IntentRequest
from fleet.vocabulary.names import Intent

NAMES = ("a", "b", "c")
requests = st.builds(IntentRequest, intent=st.sampled_from(Intent), sidecar=st.sampled_from([None, *NAMES]))


@given(st.lists(requests, max_size=8), requests)
def test_asking_twice_is_asking_once(before: list[IntentRequest], last: IntentRequest) -> None:
    wishes: Any = {}
    for now, request in enumerate(before):
        wishes = apply(wishes, request, sidecars=NAMES, now=float(now))
    once = apply(wishes, last, sidecars=NAMES, now=100.0)
    assert apply(once, last, sidecars=NAMES, now=200.0) == once


@given(st.lists(requests, max_size=8))
def test_serving_all_forgets_every_wish(before: list[IntentRequest]) -> None:
    wishes: Any = {}
    for request in before:
        wishes = apply(wishes, request, sidecars=NAMES, now=1.0)
    assert apply(wishes, IntentRequest(intent=Intent.SERVING), sidecars=NAMES, now=2.0) == {}


@given(st.lists(requests, max_size=8), st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3)))
def test_what_is_wanted_of_one_says_nothing_of_another(before: list[IntentRequest], flying: dict[str, int]) -> None:
    wishes: Any = {}
    for request in before:
        wishes = apply(wishes, request, sidecars=NAMES, now=1.0)
    for one in report(wishes, {name: flying.get(name, 0) for name in NAMES}, now=2.0):
        assert (one.intent is Intent.SERVING) == (one.name not in wishes)
        assert (one.intent is Intent.DRAINED) == (one.name in wishes and one.in_flight == 0)


asked_by = st.builds(
    IntentRequest,
    intent=st.sampled_from(Intent),
    sidecar=st.sampled_from([None, *NAMES]),
    by=st.sampled_from(["ann@laptop", "", "agent: it generated nothing"]),
)


@given(st.lists(asked_by, max_size=10))
def test_the_agent_never_changes_what_an_operator_wants(asked: list[IntentRequest]) -> None:
    wishes: Any = {}
    operators: Any = {}
    for request in asked:
        wishes = apply(wishes, request, sidecars=NAMES, now=1.0)
        if not request.by.startswith("agent:"):
            operators = apply(operators, request, sidecars=NAMES, now=1.0)
    of_people = {name for name, wish in wishes.items() if not wish.by.startswith("agent:")}
    assert of_people == set(operators)
    shown = {one.name: one.by for one in report(wishes, dict.fromkeys(NAMES, 0), now=2.0)}
    assert {name for name, by in shown.items() if by.startswith("agent:")} == set(wishes) - of_people


def test_draining_becomes_drained_when_nothing_runs_there() -> None:
    wish = Wish(intent=Intent.DRAINING, since_seconds=0)
    assert [seen(wish, in_flight=count) for count in (2, 1, 0)] == ["draining", "draining", "drained"]
    assert seen(None, in_flight=0) is Intent.SERVING


def test_a_sidecar_that_is_not_here_is_refused_with_those_that_are() -> None:
    with pytest.raises(NoSuchSidecar, match=r"'z'.*a, b, c"):
        apply({}, IntentRequest(intent=Intent.DRAINING, sidecar="z"), sidecars=NAMES, now=0)


def test_only_the_operators_doing_is_called_draining() -> None:
    assert turned_away(Choice(why={"a": Why.INTENT, "gone": Why.UNCONFIGURED})) is not None
    assert turned_away(Choice(why={"a": Why.INTENT, "b": Why.DOWN})) is None
    assert turned_away(Choice(why={"a": Why.INTENT}, attempts=("b",))) is None
    assert turned_away(Choice()) is None


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    wishes = {"a": Wish(intent=Intent.DRAINING, since_seconds=12.5, by="ann")}
    IntentStore(str(tmp_path / "state")).save(wishes)
    assert IntentStore(str(tmp_path / "state")).load() == (wishes, "")
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["intent.json"]


def test_a_crash_between_write_and_rename_keeps_the_old_intent(tmp_path: Path) -> None:
    old = {"a": Wish(intent=Intent.DRAINING, since_seconds=1)}
    IntentStore(str(tmp_path)).save(old)

    def crash(new: Path, path: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        IntentStore(str(tmp_path), put=crash).save({})
    store = IntentStore(str(tmp_path))
    assert store.load() == (old, "")
    store.save({})
    assert store.load() == ({}, "")


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.text(max_size=5) | st.integers(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["sidecars", "schema", "a", "intent"]), inner)
            ),
        ).map(msgspec.json.encode),
    )
)
def test_no_file_however_odd_keeps_a_gateway_from_starting(tmp_path_factory: Any, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "intent.json").write_bytes(content)
    wishes, _ = IntentStore(str(folder)).load()
    assert all(wish.intent is Intent.DRAINING for wish in wishes.values())


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b'{"schema": 2}', b'{"sidecars": {"a": {"intent": "asleep"}}}', b"[" * 100_000]
)
def test_an_odd_file_means_serving_and_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "intent.json").write_bytes(content)
    wishes, problem = IntentStore(str(tmp_path)).load()
    assert wishes == {}
    assert "intent.json" in problem
    assert "serv" in problem
    assert "/" not in problem


def test_without_a_folder_nothing_is_kept_and_nothing_fails() -> None:
    store = IntentStore(None)
    store.save({"a": Wish(intent=Intent.DRAINING, since_seconds=1)})
    assert store.load() == ({}, "")
    assert not store.lasting


async def test_a_drained_node_ends_no_stream_takes_no_request_and_comes_back(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx(sends_and_hangs(STREAM_HEAD + chunk(content="x")))
    async with operated(tmp_path, sidecar(fake)) as one:
        await until(lambda: one.gateway.upstreams.live["mini-1.chat"].proven_at is not None)
        streaming = await one.chat(stream=True)
        exchange = await fake.next()
        for _ in range(2):
            status, body = await one.ask("/admin/intent", {"intent": "draining", "by": "ann"})
            assert status == 200
            assert [(each["intent"], each["in_flight"]) for each in body["sidecars"]] == [("draining", 1)]
        before = len([each for each in fake.exchanges if not each.probe])
        refused = await one.chat()
        assert refused.status == 503
        assert refused.headers["Retry-After"]
        assert len([each for each in fake.exchanges if not each.probe]) == before
        (model,) = (await (await one.get("/v1/models")).json())["data"]
        assert model["fleet"]["ready"] is False
        assert "draining" in model["fleet"]["reason"]

        await exchange.send(chunk("stop") + b"data: [DONE]\n\n")
        assert events(await streaming.read())[-1] == "[DONE]"
        await until(lambda: one.gateway.upstreams.live["mini-1.chat"].in_flight == 0)
        _, body = await one.ask("/admin/intent")
        assert body["sidecars"][0]["intent"] == "drained"
        assert "wanted=draining" in _journal(one)
        assert "by=ann" in _journal(one)

        for _ in range(2):
            _, body = await one.ask("/admin/intent", {"intent": "serving", "sidecar": "mini-1.chat"})
            assert body["sidecars"][0]["intent"] == "serving"
        answering = asyncio.create_task(one.chat())
        await (await fake.next()).send(chunk("stop") + b"data: [DONE]\n\n")
        assert (await answering).status == 200


async def test_a_front_asks_another_node_when_one_is_drained(tmp_path: Path, mlx: Any) -> None:
    (key := tmp_path / "key").write_text(KEY)
    key.chmod(0o600)
    folders = [tmp_path / name for name in ("one", "two", "front")]
    for folder in folders:
        folder.mkdir()
    async with (
        operated(folders[0], sidecar(await mlx())) as one,
        operated(folders[1], sidecar(await mlx())) as two,
        operated(
            folders[2],
            *(
                Upstream(
                    name=name, kind="edge", url=edge.url, engine="edge", serves="smol", model="smol", key_file=str(key)
                )
                for name, edge in (("one", one), ("two", two))
            ),
            probing=Probing(edge_seconds=60),
        ) as front,
    ):
        live = front.gateway.upstreams.live
        for edge in (one, two):
            await until(lambda edge=edge: edge.gateway.upstreams.live["mini-1.chat"].proven_at is not None)
        await until(lambda: all(each.proven_at is not None for each in live.values()))
        assert (await one.ask("/admin/intent", {"intent": "draining"}))[0] == 200
        went = {
            (await front.chat(messages=[{"role": "user", "content": str(n)}])).headers["x-fleet-upstream"]
            for n in range(4)
        }
        assert went == {"two"}
        assert front.books.words == ["ok"] * 4


async def test_the_intent_survives_a_restart_and_a_reload(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx()
    both = (sidecar(fake), sidecar(fake, "mini-1.other", serves="other"))
    async with operated(tmp_path, *both) as one:
        assert (await one.ask("/admin/intent", {"intent": "drained", "sidecar": "mini-1.chat"}))[0] == 200
    async with operated(tmp_path, *both) as one:
        _, body = await one.ask("/admin/intent")
        assert {each["name"]: each["intent"] for each in body["sidecars"]} == {
            "mini-1.chat": "drained",
            "mini-1.other": "serving",
        }
        assert (await one.chat()).status == 503
        assert (await one.chat(model="other")).status == 200
        write_config(tmp_path, *(sidecar(fake, name, serves=name, max_in_flight=3) for name in ("mini-1.chat", "new")))
        assert one.current.reload()
        one.gateway.follow()
        one.intents.follow()
        live = one.gateway.upstreams.live
        assert {name: each.intent.value for name, each in live.items()} == {"mini-1.chat": "drained", "new": "serving"}


async def test_an_intent_that_cannot_be_kept_changes_nothing(tmp_path: Path, mlx: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    async with operated(tmp_path, sidecar(await mlx()), state_dir=str(tmp_path / "file")) as one:
        status, body = await one.ask("/admin/intent", {"intent": "draining"})
        assert (status, body["error"]["code"]) == (500, "state_not_saved")
        assert "nothing changed" in body["error"]["message"]
        assert (await one.ask("/admin/intent"))[1]["sidecars"][0]["intent"] == "serving"


async def test_an_unknown_sidecar_is_404_and_an_inference_key_may_not_drain(tmp_path: Path, mlx: Any) -> None:
    async with operated(tmp_path, sidecar(await mlx())) as one:
        status, body = await one.ask("/admin/intent", {"intent": "draining", "sidecar": "x"})
        assert (status, body["error"]["code"]) == (404, "sidecar_not_found")
        assert "mini-1.chat" in body["error"]["message"]
        assert (await one.ask("/admin/intent", {"intent": "draining"}, key=KEY))[0] == 403
        assert (await one.ask("/admin/intent"))[1]["sidecars"][0]["intent"] == "serving"


def _journal(one: Any) -> str:
    one.journal.flush()
    return str(one.said.text)
