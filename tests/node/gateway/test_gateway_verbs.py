"""`fleet route`, `ps`, `kill`, `drain`, `resume`: the commands, against gateways that run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fake_mlx import STREAM_HEAD, FakeMlx, chunk, hangs
from gateway_harness import sidecar, until
from gateway_operated import BOSS, Operated, operated

from fleet.cli.main import main
from fleet.testing.link import FakeChannel, FakeLink, FakeSession
from fleet.traffic.config import Upstream
from fleet.vocabulary.names import GatewayRole

INVENTORY = """\
all:
  vars: {{fleet_key: env:FLEET_KEY_OF_TEST, gateway_key: env:X, host_key: ssh-ed25519 AAAA}}
  children:
    front:
      hosts:
        front-1: {{ansible_host: 10.0.0.1, gateway_admin_port: {front}}}
    mlx:
      hosts:
        mini-1: {{ansible_host: 10.0.0.2, gateway_admin_port: {one}}}
        mini-2: {{ansible_host: 10.0.0.3, gateway_admin_port: {two}, gateway_port: {two_port}}}
"""


@dataclass
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(eq=False)
class Fleet:
    """A front with two edges, each with a sidecar that leaves its requests hanging."""

    front: Operated
    edges: dict[str, Operated]
    sidecars: dict[str, FakeMlx]
    link: FakeLink
    sessions: dict[str, FakeSession]
    run: Callable[..., Any]

    async def ask(self, **fields: Any) -> asyncio.Task[Any]:
        """A streamed request of a client through the front."""
        return asyncio.create_task(self.front.chat(stream=True, **fields))


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.fixture
async def fleet(
    tmp_path: Path, mlx: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Fleet]:
    monkeypatch.setenv("FLEET_KEY_OF_TEST", BOSS)
    monkeypatch.setenv("COLUMNS", "80")
    async with AsyncExitStack() as stack:
        edges, fakes, upstreams = {}, {}, []
        for name in ("mini-1", "mini-2"):
            folder = tmp_path / name
            folder.mkdir()
            fake = fakes[name] = await mlx(hangs)
            own = sidecar(fake, "sidecar.chat", node=name, max_in_flight=4)
            edges[name] = await stack.enter_async_context(operated(folder, own, node=name))
            key = folder / "fleet.key"
            key.write_text(BOSS)
            key.chmod(0o600)
            upstreams.append(
                Upstream(
                    name=f"{name}/smol", kind="edge", url=edges[name].url, engine="openai_compatible", serves="smol",
                    model="smol", node=name, key_file=str(key), max_in_flight=4,
                )
            )  # fmt: skip
        folder = tmp_path / "front"
        folder.mkdir()
        front = await stack.enter_async_context(operated(folder, *upstreams, node="front-1", role=GatewayRole.FRONT))
        live = front.gateway.upstreams.live
        await until(lambda: all(one.readiness == "ready" for one in live.values()))
        (tmp_path / "inventory").mkdir()
        (tmp_path / "inventory" / "fleet.yml").write_text(
            INVENTORY.format(
                front=port_of(front.admin),
                one=port_of(edges["mini-1"].admin),
                two=port_of(edges["mini-2"].admin),
                two_port=port_of(edges["mini-2"].url),
            )
        )
        monkeypatch.chdir(tmp_path)
        sessions = {
            name: FakeSession({"true": FakeChannel(b"")}, node=name) for name in ("front-1", "mini-1", "mini-2")
        }
        link = FakeLink(sessions)
        monkeypatch.setattr("fleet.cli.doors.link_of", lambda _: link)
        monkeypatch.setattr("fleet.cli.restart.link_of", lambda _: link)

        def command(*words: str) -> Said:
            with pytest.raises(SystemExit) as stopped:
                main(list(words))
            captured = capsys.readouterr()
            return Said(int(stopped.value.code or 0), captured.out, captured.err)

        async def run(*words: str) -> Said:
            return await asyncio.to_thread(command, *words)

        yield Fleet(front, edges, fakes, link, sessions, run)


async def streaming(fleet: Fleet, count: int = 1) -> list[asyncio.Task[Any]]:
    """Requests whose answers have begun."""
    tasks = [await fleet.ask() for _ in range(count)]
    began = 0
    async with asyncio.timeout(60):
        while began < count:
            for fake in fleet.sidecars.values():
                try:
                    exchange = await fake.next(within=0.05)
                except TimeoutError:
                    continue
                await exchange.send(STREAM_HEAD + chunk(content="a"))
                began += 1
    await until(lambda: sum(live.call.phase == "answering" for live in fleet.front.gateway.calls) == count)
    return tasks


async def ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def unreachable(fleet: Fleet, *names: str) -> None:
    for name in names:
        fleet.sessions.pop(name)


# ---------------------------------------------------------------- ps


async def test_a_request_through_front_and_edge_is_shown_once_under_the_front(fleet: Fleet) -> None:
    tasks = await streaming(fleet)
    said = await fleet.run("ps", "--json")
    assert said.code == 0
    (one,) = said.json["requests"]
    assert (one["gateway"], one["key"], one["route"], one["surface"]) == ("front-1", "ann", "smol", "chat")
    assert one["upstream"] == f"{one['node']}/smol"
    assert (one["phase"], one["edge_phase"]) == ("answering", "answering")
    assert said.json["errors"] == {}
    await ended(*tasks)


async def test_a_request_that_came_to_an_edge_itself_is_shown_under_that_edge(fleet: Fleet) -> None:
    task = asyncio.create_task(fleet.edges["mini-2"].chat(stream=True))
    await fleet.sidecars["mini-2"].next()
    (one,) = (await fleet.run("ps", "--json")).json["requests"]
    assert (one["gateway"], one["node"], one["edge_phase"]) == ("mini-2", "mini-2", None)
    await ended(task)


async def test_the_table_of_requests_fits_80_columns_and_plain_is_one_line_each(fleet: Fleet) -> None:
    tasks = await streaming(fleet)
    table = await fleet.run("ps")
    assert max(map(len, table.out.splitlines())) <= 80
    assert table.out.splitlines()[0] == "1 request in flight"
    assert table.out.splitlines()[1].split() == ["ID", "KEY", "ROUTE", "UPSTREAM", "PHASE", "TIME", "IN", "OUT"]
    (line,) = (await fleet.run("ps", "--plain")).out.splitlines()
    assert line.split()[1:4] == ["ann", "chat", "smol"]
    assert line.split()[-1] == "interactive"
    await ended(*tasks)


async def test_an_unreachable_gateway_is_told_and_the_others_are_shown(fleet: Fleet) -> None:
    tasks = await streaming(fleet)
    unreachable(fleet, "mini-2")
    said = await fleet.run("ps")
    assert said.code == 3
    assert "1 request in flight" in said.out
    assert "mini-2: cannot reach 10.0.0.3" in said.err
    unreachable(fleet, "mini-1", "front-1")
    said = await fleet.run("ps", "--json")
    assert (said.code, said.json["requests"], set(said.json["errors"])) == (4, [], {"front-1", "mini-1", "mini-2"})
    await ended(*tasks)


# ---------------------------------------------------------------- kill


async def test_a_killed_request_ends_at_its_client_and_at_the_sidecar(fleet: Fleet) -> None:
    task = await fleet.ask()
    await until(lambda: any(fake.exchanges and not fake.exchanges[-1].probe for fake in fleet.sidecars.values()))
    (live,) = fleet.front.gateway.calls
    said = await fleet.run("kill", f"{live.call.request_id[:11]}…", "--reason", "ran all night")
    assert said.code == 0
    assert said.err.startswith(f"front-1: ended {live.call.request_id} of ann, ")
    answer = await task
    assert answer.status == 410
    assert "ran all night" in await answer.text()
    busy = next(fake for fake in fleet.sidecars.values() if fake.exchanges and not fake.exchanges[-1].probe)
    await asyncio.wait_for(busy.exchanges[-1].gone.wait(), 5)


async def test_a_request_that_is_not_there_is_an_error_and_partial_when_not_all_could_be_asked(fleet: Fleet) -> None:
    said = await fleet.run("kill", "nobody")
    assert (said.code, said.err.splitlines()[0]) == (1, "no request nobody is in flight")
    unreachable(fleet, "mini-1")
    said = await fleet.run("kill", "nobody")
    assert said.code == 3
    assert "mini-1: cannot reach" in said.err


async def test_the_beginning_of_an_id_that_several_share_kills_nobody(fleet: Fleet) -> None:
    tasks = await streaming(fleet, 2)
    ids = [live.call.request_id for live in fleet.front.gateway.calls]
    common = ids[0][: next(at for at in range(40) if ids[0][:at] != ids[1][:at]) - 1]
    if common:
        said = await fleet.run("kill", common)
        assert said.code == 2
        assert "2 requests begin with" in said.err
    assert len(fleet.front.gateway.calls) == 2
    await ended(*tasks)


# ---------------------------------------------------------------- route


async def test_the_routes_are_listed_with_their_upstreams_in_80_columns(fleet: Fleet) -> None:
    said = await fleet.run("route", "list")
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 80
    assert "mini-1/smol" in said.out
    assert "● ready" in said.out
    assert (await fleet.run("route", "list", "--plain")).out.startswith("smol private 1 mini-1/smol ready 0/4 0")
    assert (await fleet.run("route", "list", "--json")).json["node"] == "front-1"
    assert (await fleet.run("route", "list", "--json", "--front", "mini-1")).json["node"] == "mini-1"


async def test_explain_says_in_which_order_upstreams_would_be_asked(fleet: Fleet) -> None:
    said = await fleet.run("route", "explain", "smol", "--prompt", "hello", "--max-tokens", "9", "--json")
    assert said.code == 0
    assert set(said.json["attempts"]) == {"mini-1/smol", "mini-2/smol"}


async def test_a_front_that_cannot_be_reached_is_an_unreachable_node(fleet: Fleet) -> None:
    unreachable(fleet, "front-1")
    said = await fleet.run("route", "list")
    assert said.code == 4
    assert "front-1: cannot reach 10.0.0.1" in said.err
    said = await fleet.run("route", "list", "--front", "mini-3")
    assert said.code == 2
    assert "nodes with one: front-1, mini-1, mini-2" in said.err


# ---------------------------------------------------------------- drain


async def test_a_drained_node_gets_no_new_work_and_what_runs_is_told(fleet: Fleet) -> None:
    tasks = await streaming(fleet, 4)
    busy = {name: len([one for one in fake.exchanges if not one.probe]) for name, fake in fleet.sidecars.items()}
    said = await fleet.run("drain", "mini-1", "--wait", "0.2s")
    assert said.code == 1
    assert f"mini-1: draining, {busy['mini-1']} requests still run" in said.err
    assert "hint: the same command waits on" in said.err
    await ended(*tasks)
    said = await fleet.run("drain", "mini-1", "--json")
    assert (said.code, said.json["nodes"][0]["sidecars"][0]["intent"]) == (0, "drained")
    more = [await fleet.ask() for _ in range(3)]
    await until(lambda: len([one for one in fleet.sidecars["mini-2"].exchanges if not one.probe]) == busy["mini-2"] + 3)
    assert len([one for one in fleet.sidecars["mini-1"].exchanges if not one.probe]) == busy["mini-1"]
    await ended(*more)
    said = await fleet.run("resume", "mini-1")
    assert (said.code, said.err) == (0, "mini-1: serving\n")


async def test_the_last_who_serves_a_model_is_drained_by_force_only(fleet: Fleet) -> None:
    assert (await fleet.run("drain", "mini-1")).code == 0
    await until(lambda: fleet.front.gateway.upstreams.live["mini-1/smol"].intent != "serving")
    said = await fleet.run("drain", "mini-2")
    assert said.code == 1
    assert "nobody else can serve smol now" in said.err
    assert "--force drains all the same" in said.err
    assert fleet.edges["mini-2"].intents.report()[0].intent == "serving"
    said = await fleet.run("restart", "mini-2")
    assert (said.code, "nobody else can serve smol now" in said.out) == (1, True)
    assert fleet.edges["mini-2"].intents.report()[0].intent == "serving"
    assert (await fleet.run("drain", "mini-1")).code == 0, "draining again what is drained takes nobody away"
    assert (await fleet.run("drain", "mini-2", "--force")).code == 0
    said = await fleet.run("drain", "mini-1", "mini-2")
    assert (said.code, said.err) == (0, "mini-1: drained\nmini-2: drained\n")


async def test_both_who_serve_a_model_are_not_drained_at_once(fleet: Fleet) -> None:
    said = await fleet.run("drain", "mini-1", "mini-2")
    assert said.code == 1
    assert "nobody else can serve smol now" in said.err


async def test_without_a_front_nobody_knows_who_else_serves(fleet: Fleet) -> None:
    unreachable(fleet, "front-1")
    said = await fleet.run("drain", "mini-1")
    assert said.code == 1
    assert "no front can be asked who else serves its models" in said.err
    assert (await fleet.run("drain", "mini-1", "--force")).code == 0


async def test_a_sidecar_is_named_as_the_playbook_names_it(fleet: Fleet) -> None:
    said = await fleet.run("drain", "mini-1", "--sidecar", "chat")
    assert (said.code, said.err) == (0, "mini-1: drained\n")
    said = await fleet.run("drain", "mini-2", "--sidecar", "code")
    assert said.code == 1
    assert "there is no sidecar 'sidecar.code' on this node" in said.err


async def test_a_front_without_sidecars_says_that_it_goes_on_serving(fleet: Fleet) -> None:
    said = await fleet.run("drain", "front-1")
    assert said.code == 0
    assert said.err == "front-1: no sidecar here, so nothing to drain; its front goes on serving clients\n"


async def test_a_node_that_cannot_be_reached_leaves_the_others_drained(fleet: Fleet) -> None:
    unreachable(fleet, "mini-2")
    said = await fleet.run("drain", "mini-1", "mini-2", "--force")
    assert said.code == 3
    assert "mini-2: cannot reach 10.0.0.3" in said.err
    assert "mini-1: drained" in said.err


# ---------------------------------------------------------------- gateways that are not what they should be


async def test_a_gateway_of_the_previous_release_is_told_to_be_deployed(fleet: Fleet) -> None:
    said = await fleet.run("--set", "gateway_admin_port=1", "ps", "--on", "mini-2")
    assert said.code == 1
    assert said.err.startswith("mini-2: its gateway has no admin door: deploy first")
    assert "fleet deploy --on mini-2" in said.err


async def test_a_gateway_that_does_not_run_is_told(fleet: Fleet) -> None:
    said = await fleet.run("--set", "gateway_admin_port=1", "--set", "gateway_port=2", "ps", "--on", "mini-2")
    assert said.code == 1
    assert said.err.startswith("mini-2: its gateway does not run")


async def test_a_gateway_that_does_not_know_our_key_is_told(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_KEY_OF_TEST", "sk-of-another-fleet")
    said = await fleet.run("ps", "--on", "mini-1")
    assert said.code == 1
    assert "it does not know fleet_key: fleet deploy --on mini-1 brings it there" in said.err
    assert "sk-of-another-fleet" not in said.err + said.out


async def test_a_node_without_a_gateway_is_a_question_of_the_command_line(fleet: Fleet) -> None:
    said = await fleet.run("drain", "mini-9")
    assert said.code == 2
    assert "no node is called 'mini-9'" in said.err


async def test_a_front_of_an_older_release_that_has_no_such_door_says_what_brings_it(fleet: Fleet) -> None:
    said = await fleet.run("usage", "--by", "model", "--json")  # these gateways were started without that door

    assert (said.code, said.out) == (1, "")
    assert "front-1: its gateway is of an older release, which has no such door" in said.err
    assert "hint: fleet deploy --on front-1" in said.err
