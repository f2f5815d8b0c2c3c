"""A front and an edge as they are deployed (two processes, TLS with a pin between them) before a simulated sidecar."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.traffic.config import GatewayConfig, Listen, Probing, Timeouts, Upstream
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.vocabulary.names import GatewayRole
from fleet.vocabulary.pins import pin_of

KEY = "sk-client-0123456789"
BOSS = "sk-boss-0123456789"
WIDE, FULL_FRONT, FULL_EDGE = "wide", "full-front", "full-edge"
"""Models. Of the last two one place each is all there is: at the front, at the edge."""

PATIENT = Timeouts(first_token_seconds=600, idle_seconds=600, total_seconds=600, queue_seconds=600, commit_seconds=0.01)
"""Nothing but the client ends a request; and a stream that has to wait has its status and a comment by then."""
_QUIET = Probing(idle_seconds=3600)
_READY_SECONDS = 20.0


@dataclass(eq=False)
class Gateway:
    """A gateway's process. `http` trusts its certificate."""

    process: Process
    url: str
    port: int
    admin: str
    http: aiohttp.ClientSession

    async def requests(self) -> list[dict[str, Any]]:
        """What is in flight, by the admin door."""
        async with self.http.get(f"{self.admin}/admin/requests", headers=_shown(BOSS)) as answer:
            found: list[dict[str, Any]] = (await answer.json())["requests"]
            return found

    async def places(self) -> float:
        """How many places are taken, over all upstreams, by /metrics."""
        async with self.http.get(f"{self.url}/metrics", headers=_shown(BOSS)) as answer:
            lines = (await answer.text()).splitlines()
        taken = [line.rpartition(" ")[2] for line in lines if line.startswith("fleet_upstream_in_flight{")]
        assert taken, "no upstream is measured"
        return sum(map(float, taken))

    async def idle(self) -> bool:
        """Whether it answers nobody, and every place is free."""
        return not await self.requests() and not await self.places()

    async def in_flight(self) -> int:
        """How many requests it answers, by the cheapest door."""
        async with self.http.get(f"{self.url}/healthz") as answer:
            found: int = (await answer.json())["in_flight"]
            return found

    async def ready(self) -> bool:
        """Whether it would answer a request now."""
        try:
            async with self.http.get(f"{self.url}/v1/models", headers=_shown(BOSS)) as answer:
                listed = (await answer.json())["data"]
        except aiohttp.ClientConnectionError:
            return False
        return bool(listed) and all(one["fleet"]["ready"] for one in listed)


@dataclass(eq=False)
class Pair:
    """Both gateways, and the sidecar that they end at."""

    front: Gateway
    edge: Gateway
    mlx: SimulatedMlx

    async def idle(self) -> bool:
        """Whether nobody holds anything."""
        return await self.front.idle() and await self.edge.idle()


@asynccontextmanager
async def pair(
    folder: Path, *, drain_seconds: float = 20.0, timeouts: Timeouts = PATIENT, sidecar_url: str | None = None
) -> AsyncIterator[Pair]:
    """Starts both, ready to serve; ends them with the block. Files go to `folder`.

    `sidecar_url`: a real sidecar instead of the simulated one, which then hears nothing.
    """
    async with AsyncExitStack() as stack:
        mlx = await stack.enter_async_context(SimulatedMlx(step_tokens=1))
        certificate, key = await _identity(folder)
        pin = pin_of(ssl.PEM_cert_to_DER_cert(certificate.read_text()))
        _secret(folder / "edge.token", BOSS)
        ring = KeyRing(
            keys=(_hashed("ann", KEY, "inference"), _hashed("boss", BOSS, "inference", "node", "admin"))
        )  # fmt: skip
        _secret(folder / "keys.json", msgspec.json.encode(ring).decode())
        edge_port, edge_admin, front_port, front_admin = _free_ports(4)

        def config(name: str, **changes: Any) -> Path:
            values: dict[str, Any] = {
                "node": name, "keys_file": str(folder / "keys.json"), "timeouts": timeouts, "probing": _QUIET,
                "drain_seconds": drain_seconds, "state_dir": str(folder / f"{name}-state"),
            }  # fmt: skip
            path = folder / f"{name}.json"
            path.write_bytes(msgspec.json.encode(GatewayConfig(**values, **changes)))
            return path

        sidecars = tuple(
            Upstream(
                name=f"sidecar.{serves}", kind="sidecar", url=sidecar_url or mlx.url, engine="mlx_lm", serves=serves,
                model="default_model", max_in_flight=places,
            )
            for serves, places in ((WIDE, 64), (FULL_EDGE, 1))
        )  # fmt: skip
        listen = Listen(host="127.0.0.1", port=edge_port, certificate_file=str(certificate), key_file=str(key))
        edge_config = config("edge", role=GatewayRole.EDGE, listen=listen, upstreams=sidecars, admin_port=edge_admin)
        edges = tuple(
            Upstream(
                name=f"edge/{serves}", kind="edge", url=f"https://127.0.0.1:{edge_port}", engine="openai_compatible",
                serves=serves, model=model, node="edge", pin=pin, key_file=str(folder / "edge.token"),
                max_in_flight=places,
            )
            for serves, model, places in ((WIDE, WIDE, 64), (FULL_FRONT, WIDE, 1), (FULL_EDGE, FULL_EDGE, 64))
        )  # fmt: skip
        plain = Listen(host="127.0.0.1", port=front_port)
        front_config = config("front", role=GatewayRole.FRONT, listen=plain, upstreams=edges, admin_port=front_admin)
        trust = ssl.create_default_context(cafile=str(certificate))
        trust.check_hostname = False
        edge = await _started(stack, edge_config, f"https://127.0.0.1:{edge_port}", edge_admin, trust)
        front = await _started(stack, front_config, f"http://127.0.0.1:{front_port}", front_admin, trust)
        await until(edge.ready, within_seconds=_READY_SECONDS)
        await until(front.ready, within_seconds=_READY_SECONDS)
        yield Pair(front, edge, mlx)


async def until(true: Callable[[], Any], *, within_seconds: float = 2.0) -> None:
    """Wait for `true`, a function or a coroutine function. Raises TimeoutError."""
    async with asyncio.timeout(within_seconds):
        while True:
            found = true()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.002)


async def _started(stack: AsyncExitStack, config: Path, url: str, admin_port: int, trust: ssl.SSLContext) -> Gateway:
    log = stack.enter_context(config.with_suffix(".log").open("wb"))
    argv = (sys.executable, "-s", "-m", "fleet.node.gateway", "--config", str(config))
    process = await asyncio.create_subprocess_exec(*argv, stderr=log, stdin=PIPE)
    stack.push_async_callback(_ended, process)
    http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)))
    return Gateway(process, url, int(url.rpartition(":")[2]), f"http://127.0.0.1:{admin_port}", http)


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _identity(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key, as adopt makes them."""
    certificate, key = folder / "edge.crt", folder / "edge.key"
    making = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(key), "-out", str(certificate), "-days", "30", "-subj", "/CN=edge"),
        stderr=PIPE,
    )
    _, said = await making.communicate()
    if making.returncode:
        raise RuntimeError(f"openssl: {said.decode(errors='replace')}")
    return certificate, key


def _hashed(name: str, key: str, *scopes: str) -> HashedKey:
    return HashedKey(name=name, sha256=hashlib.sha256(key.encode()).hexdigest(), scopes=scopes)


def _shown(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _secret(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def _free_ports(count: int) -> Iterable[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
