"""A fleet with two fronts for a rolling upgrade, and clients that come back as the SDKs of real clients do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml

from tests.integration.conftest import Room
from tests.integration.story import gateway_key
from tests.integration.streams import End, Load, Stream, streamed

EXIT_SCALE = 0.1
"""launchd's SIGTERM-to-SIGKILL here: 2 s for a sidecar, 3 s for a gateway. The streams last longer."""
NODES = ("mac-1", "mac-2", "mac-3")
FRONTS = ("mac-1", "mac-2")
_TRIES = 3
_WAIT_SECONDS = 0.5
PLAYBOOK = """\
- name: every node
  hosts: all
  tasks:
    - {name: fleet's own packages, python_env: {name: node, lock: node.lock}}
    - {name: agent, daemon: {service: agent, env: node}}
    - {name: mlx packages, python_env: {name: mlx, lock: mlx.lock}}
    - {name: weights, model: {name: tiny, manifest: tiny.json}}
- name: edges
  hosts: mlx
  strategy: {max_unavailable: 1, last_copy: LAST_COPY}
  tasks:
SOLO_TASK    - name: sidecar
      daemon: {service: sidecar, name: chat, env: mlx, model: tiny, port: "{{ vars.sidecar_port }}", kv_reserve: 2GiB,
               environment: {SHOW: "RELEASE"}}
    - {name: edge, daemon: {service: gateway, role: edge, env: node, environment: {SHOW: "RELEASE"}}}
  health: &health
    - launchd: {daemon: sidecar.chat, stable_for: 500ms}
    - generate: {daemon: sidecar.chat, within: 3m}
    - http: {daemon: gateway, path: "/readyz?drained=ok", within: 60s}
- name: fronts
  hosts: front
  strategy: {max_unavailable: 1}
  tasks:
    - name: own sidecar
      daemon: {service: sidecar, name: chat, env: mlx, model: tiny, port: "{{ vars.sidecar_port }}", kv_reserve: 2GiB,
               environment: {SHOW: "RELEASE"}}
    - {name: front, daemon: {service: gateway, role: front, env: node, environment: {SHOW: "RELEASE"}}}
  health: *health
"""


SOLO = """\
    - name: single copy
      daemon: {service: sidecar, name: solo, env: mlx, model: tiny, serves: solo, port: SOLO_PORT, kv_reserve: 2GiB,
               environment: {SHOW: "RELEASE"}}
"""


def two_fronts(folder: Path, *, solo_port: int | None = None) -> Room:
    """Three simulated Macs, all with a copy of one model: two fronts, and an edge that both send work to. Deployed.

    With a port the edge serves a second model, which nobody else has.
    """
    room = Room(folder)
    room.sim("up", "--nodes", "3", "--models", "tiny", "--throttle-scale", "0.1", "--exit-scale", str(EXIT_SCALE))
    path = folder / "inventory" / "fleet.yml"
    data = yaml.safe_load(path.read_text())
    groups = data["all"]["children"]
    groups["front"]["hosts"]["mac-2"] = groups["mlx"]["hosts"].pop("mac-2")
    for name in ("upstreams", "routes", "default_route"):
        groups["front"].get("vars", {}).pop(name, None)
    groups["front"].setdefault("vars", {}).update(groups["mlx"].get("vars", {}))
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    release(room, "one", solo_port=solo_port)
    room.fleet("adopt", "--all", "--yes")
    room.fleet("deploy", "--yes", timeout=400)
    return room


def release(room: Room, name: str, *, solo_port: int | None = None, last_copy: str = "allow") -> None:
    """The playbook of a release: every sidecar and every gateway is another one than in any other release."""
    solo = "" if solo_port is None else SOLO.replace("SOLO_PORT", str(solo_port))
    path = room.folder / "playbooks" / "site.yml"
    path.parent.mkdir(exist_ok=True)
    text = PLAYBOOK.replace("SOLO_TASK", solo).replace("LAST_COPY", last_copy)
    path.write_text(text.replace("RELEASE", name))


@dataclass
class Client:
    """One client of several fronts. It comes back when it was refused or not let in, never once an answer began.

    OpenAI's SDKs do so twice, after half a second and more; here the next front is asked, as behind any load balancer.
    """

    doors: list[aiohttp.ClientSession]
    turn: int = 0
    again: int = 0

    async def ask(self, stream: Stream, *, model: str, tokens: int) -> None:
        """One question, and its answer to the end."""
        for left in reversed(range(_TRIES)):
            self.turn += 1
            await streamed(self.doors[self.turn % len(self.doors)], stream, model=model, tokens=tokens)
            refused = stream.end is End.TOLD and stream.status in (408, 409, 429, 500, 502, 503, 504)
            not_let_in = stream.end is End.CUT and not stream.status
            if not left or not (refused or not_let_in):
                return
            self.again += 1
            stream.end, stream.status, stream.why = None, 0, ""
            await asyncio.sleep(_WAIT_SECONDS)


@asynccontextmanager
async def clients_of(
    room: Room, *, clients: int, model: str, tokens: Iterable[int]
) -> AsyncIterator[tuple[Load, list[Client]]]:
    """`clients` stream all the while, from both fronts in turn. The end lets them finish."""
    found, stop, sizes = Load(), asyncio.Event(), tuple(tokens)
    headers = {"Authorization": f"Bearer {gateway_key(room)}"}
    async with AsyncExitStack() as stack:
        doors = []
        for front in FRONTS:
            trust = ssl.create_default_context(cafile=room.root(front) / "etc" / "edge.crt")
            url = f"https://127.0.0.1:{room.variables(front)['gateway_port']}"
            connector = aiohttp.TCPConnector(ssl=trust, limit=0)
            session = aiohttp.ClientSession(url, connector=connector, headers=headers)
            doors.append(await stack.enter_async_context(session))
        people = [Client(doors=doors, turn=number) for number in range(clients)]

        async def stream_on(client: Client, number: int) -> None:
            while not stop.is_set():
                stream = Stream()
                found.streams.append(stream)
                await client.ask(stream, model=model, tokens=sizes[number % len(sizes)])
                number += 1
                if stream.end is not End.DONE:
                    await asyncio.sleep(_WAIT_SECONDS)

        tasks = [asyncio.create_task(stream_on(one, number)) for number, one in enumerate(people)]
        try:
            yield found, people
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        finally:
            stop.set()
            await asyncio.gather(*tasks, return_exceptions=True)


def longest_seconds(load: Load) -> float:
    """How long the longest stream took."""
    return max((one.ended - one.began for one in load.ended()), default=0.0)
