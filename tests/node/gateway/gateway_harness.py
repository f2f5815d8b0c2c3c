"""What the gateway's tests are made of: configurations, keys, a running gateway, its books."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from fake_mlx import FakeMlx

from fleet.node.gateway.call import Outcome
from fleet.node.gateway.gateway import Gateway
from fleet.node.gateway.reload import Current
from fleet.traffic.config import GatewayConfig, Listen, Probing, Timeouts, Upstream
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.vocabulary.names import GatewayRole

KEY = "sk-client-0123456789"
NODE_KEY = "sk-node-0123456789"
HELLO = [{"role": "user", "content": "hi"}]


def sidecar(fake: FakeMlx, name: str = "mini-1.chat", **changes: Any) -> Upstream:
    values = {"name": name, "kind": "sidecar", "url": fake.url, "engine": "mlx_lm", "serves": "smol"}
    return Upstream(**{**values, "model": "default_model", **changes})


@dataclass
class Books:
    """Accounting that remembers."""

    outcomes: list[Outcome] = field(default_factory=list)

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    @property
    def words(self) -> list[str]:
        return [outcome.word for outcome in self.outcomes]


@dataclass(eq=False)
class Running:
    """A gateway that answers at `url`."""

    gateway: Gateway
    current: Current
    config_file: Path
    url: str
    http: aiohttp.ClientSession
    books: Books

    async def chat(self, *, key: str = KEY, **fields: Any) -> aiohttp.ClientResponse:
        body = {"model": "smol", "messages": HELLO, **fields}
        headers = {"Authorization": f"Bearer {key}"}
        return await self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, ssl=False)

    async def get(self, path: str, *, key: str | None = KEY, **headers: str) -> aiohttp.ClientResponse:
        shown = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.http.get(self.url + path, headers={**shown, **headers}, ssl=False)


def hashed(name: str, key: str, *scopes: str) -> HashedKey:
    return HashedKey(name=name, sha256=hashlib.sha256(key.encode()).hexdigest(), scopes=scopes)


RING = KeyRing(keys=(hashed("ann", KEY, "inference"), hashed("front", NODE_KEY, "inference", "node")))

QUICK = Timeouts(connect_seconds=5, first_token_seconds=5, idle_seconds=5, total_seconds=20, queue_seconds=0.2)
PROBING = Probing(down_seconds=0.05, idle_seconds=60, edge_seconds=0.1, timeout_seconds=2)


def write_config(folder: Path, *upstreams: Upstream, name: str = "gateway", **changes: Any) -> Path:
    keys = folder / "keys.json"
    keys.write_bytes(msgspec.json.encode(RING))
    values: dict[str, Any] = {
        "node": "mini-1",
        "role": GatewayRole.EDGE,
        "listen": Listen(host="127.0.0.1", port=1),
        "keys_file": str(keys),
        "upstreams": upstreams,
        "timeouts": QUICK,
        "probing": PROBING,
        "drain_seconds": 1.0,
    }
    path = folder / f"{name}.json"
    path.write_bytes(msgspec.json.encode(GatewayConfig(**{**values, **changes})))
    return path


Start = Callable[..., Awaitable[Running]]


@dataclass(frozen=True)
class Identity:
    """A TLS key with its certificate."""

    listen: Listen
    pin: str


async def until(condition: Callable[[], object], *, within: float = 60.0) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


def events(body: bytes) -> list[Any]:
    """The JSON events of a stream; [DONE] as text."""
    data = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    return ["[DONE]" if one == b"[DONE]" else json.loads(one) for one in data]


def text_of(body: bytes) -> str:
    """What the stream says."""
    parts = [
        one["choices"][0]["delta"].get("content") or ""
        for one in events(body)
        if isinstance(one, dict) and one["choices"]
    ]
    return "".join(parts)
