"""A front with a policy, its ledger on disk, simulated APIs and Macs behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from gateway_harness import PROBING, QUICK, Books, until

from fleet.node.gateway.call import AllBooks
from fleet.node.gateway.gateway import Gateway, new_session
from fleet.node.gateway.policy.office import PolicyOffice
from fleet.node.gateway.policy.treasury import wall_milliseconds
from fleet.node.gateway.reload import Current
from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.sim.upstreams.openrouter import KEY as OPENROUTER_KEY
from fleet.sim.upstreams.openrouter import SimulatedOpenRouter
from fleet.traffic.config import GatewayConfig, Listen, Price, Route, Upstream
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.traffic.policy import DollarTerms, GrayTerms, Policy
from fleet.vocabulary.contracts.ledger import Request, Reservation, Row, Settlement
from fleet.vocabulary.names import GatewayRole, Sensitivity, Track

SMALL = Price(prompt="0.0000001", completion="0.0000004")
LARGE = Price(prompt="0.000005", completion="0.000025")
FREE = Price(prompt="0", completion="0")
TERMS = DollarTerms(monthly_usd="800", over_budget="refuse")


def text_of_key(name: str) -> str:
    return f"sk-{name}-0123456789"


def a_key(name: str, **changes: Any) -> HashedKey:
    return HashedKey(name=name, sha256=hashlib.sha256(text_of_key(name).encode()).hexdigest(), **changes)


ANN = a_key("ann", person="ann", team="blue")
GRAY = a_key("gray", gray=True, sensitivity=Sensitivity.PUBLIC)
ONCALL = a_key("oncall", scopes=("inference", "incident"))


def api(
    openrouter: SimulatedOpenRouter, name: str, model: str, price: Price | None = SMALL, **changes: Any
) -> Upstream:
    values = {"name": f"openrouter/{name}", "kind": "api", "url": openrouter.url, "engine": "openrouter"}
    return Upstream(**{**values, "serves": name, "model": model, "price": price, "max_in_flight": 256, **changes})


def own(mlx: SimulatedMlx, name: str = "mini-1.chat", serves: str = "own", **changes: Any) -> Upstream:
    values = {"name": name, "kind": "sidecar", "url": mlx.url, "engine": "mlx_lm", "serves": serves, "node": "mini-1"}
    return Upstream(**{**values, "model": "default_model", **changes})


ROUTES = (
    Route(name="cheap", upstreams=("openrouter/flash",), track=Track.TOKEN),
    Route(name="mixed", upstreams=("mini-1.chat", "openrouter/flash"), track=Track.TOKEN),
    Route(name="home", upstreams=("mini-1.chat",), track=Track.PRIVATE),
    Route(name="hard", upstreams=("openrouter/large",), track=Track.DOLLAR, folds_to="cheap"),
)
GRAY_ROUTES = (
    Route(name="cheap", upstreams=("openrouter/flash",), track=Track.TOKEN, gray="owl"),
    Route(
        name="owl",
        upstreams=("openrouter/owl",),
        track=Track.GRAY,
        gray_terms=GrayTerms(share="0.10", unlabelled=True),
        folds_to="cheap",
    ),
    *ROUTES[1:],
)


@dataclass(eq=False)
class Policed:
    """A running front. `rows` are what is on its disk."""

    office: PolicyOffice
    gateway: Gateway
    current: Current
    config_file: Path
    url: str
    http: aiohttp.ClientSession
    books: Books
    openrouter: SimulatedOpenRouter
    mlx: SimulatedMlx

    async def ask(
        self, route: str = "cheap", *, key: str = "ann", say: str = "hello", headers: Any = None, **fields: Any
    ) -> aiohttp.ClientResponse:
        body = {"model": route, "messages": [{"role": "user", "content": say}], "max_tokens": 50, **fields}
        shown = {"Authorization": f"Bearer {text_of_key(key)}", **(headers or {})}
        answer = await self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=shown)
        await answer.read()
        return answer

    async def code(self, route: str = "cheap", **asked: Any) -> tuple[int, str | None]:
        answer = await self.ask(route, **asked)
        said = await answer.json() if answer.status != 200 else {}
        return answer.status, said.get("error", {}).get("code")

    def reload(self, **changes: Any) -> None:
        config = msgspec.structs.replace(self.current.loaded.config, **changes)
        self.config_file.write_bytes(msgspec.json.encode(config))
        assert self.current.reload(), self.current.problem
        self.gateway.follow()
        self.office.follow()

    async def rows(self, kind: Any = None) -> list[Any]:
        """Once every request that has ended is on the disk."""
        ledger, found = self.office.treasury.ledger, list[Row]()

        def whole() -> bool:
            found[:] = ledger.rows()
            return sum(isinstance(row, Request) for row in found) >= len(self.books.outcomes)

        await until(whole)
        return [row for row in found if kind is None or isinstance(row, kind)]

    async def requests(self) -> list[Request]:
        return await self.rows(Request)

    async def reservations(self) -> list[Reservation]:
        return await self.rows(Reservation)

    async def settlements(self) -> list[Settlement]:
        return await self.rows(Settlement)

    def policy(self, **changes: Any) -> Policy:
        """The policy in force, with changes."""
        policy = self.current.loaded.config.policy
        assert policy is not None
        return msgspec.structs.replace(policy, **changes)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The bodies that the API was sent."""
        return [one.request.json for one in self.openrouter.exchanges if one.request.method == "POST"]

    @property
    def asked_at_home(self) -> int:
        return sum(
            one.request.json.get("max_tokens") != 1 for one in self.mlx.exchanges if one.request.method == "POST"
        )


Upstreams = Callable[[SimulatedOpenRouter, SimulatedMlx], tuple[Upstream, ...]]


def usual(openrouter: SimulatedOpenRouter, mlx: SimulatedMlx) -> tuple[Upstream, ...]:
    """What the routes here name."""
    return (
        api(openrouter, "flash", "sim/echo-small"),
        api(openrouter, "large", "sim/echo-large", LARGE),
        api(openrouter, "owl", "sim/owl-alpha", FREE),
        own(mlx),
    )


def write_front(
    folder: Path,
    openrouter: SimulatedOpenRouter,
    mlx: SimulatedMlx,
    *,
    policy: Policy | None = None,
    routes: tuple[Route, ...] = ROUTES,
    keys: tuple[HashedKey, ...] = (ANN, GRAY, ONCALL),
    upstreams: Upstreams = usual,
    name: str = "front-1",
    **changes: Any,
) -> Path:
    """The configuration of a front in `folder`, with all that it refers to."""
    secret, ring = folder / f"{name}.key", folder / f"{name}.keys.json"
    secret.write_text(OPENROUTER_KEY)
    secret.chmod(0o600)
    ring.write_bytes(msgspec.json.encode(KeyRing(keys=keys)))
    specs = tuple(
        msgspec.structs.replace(one, key_file=str(secret)) if one.kind == "api" else one
        for one in upstreams(openrouter, mlx)
    )
    values: dict[str, Any] = {
        "node": name,
        "role": GatewayRole.FRONT,
        "listen": Listen(host="127.0.0.1", port=1),
        "keys_file": str(ring),
        "upstreams": specs,
        "routes": routes,
        "timeouts": QUICK,
        "probing": PROBING,
        "policy": policy or Policy(ledger_file=str(folder / f"{name}.ledger"), dollar=TERMS),
    }
    path = folder / f"{name}.json"
    path.write_bytes(msgspec.json.encode(GatewayConfig(**{**values, **changes})))
    return path


async def begin(
    stack: AsyncExitStack,
    folder: Path,
    *,
    openrouter: SimulatedOpenRouter | None = None,
    mlx: SimulatedMlx | None = None,
    wall: Callable[[], int] = wall_milliseconds,
    **changes: Any,
) -> Policed:
    """Start a front in `folder`; what it needs is started with it, where it is not given."""
    openrouter = openrouter if openrouter is not None else await stack.enter_async_context(SimulatedOpenRouter())
    mlx = mlx if mlx is not None else await stack.enter_async_context(SimulatedMlx())
    config_file = write_front(folder, openrouter, mlx, **changes)
    current = Current(config_file)
    books = Books()
    session = await stack.enter_async_context(new_session())
    assert current.loaded.config.policy is not None
    said: list[str] = []
    office = PolicyOffice(current, current.loaded.config.policy, told=said.append, wall=wall)
    gateway = Gateway(current, session, admission=office.admission, accounting=AllBooks((office.accounting, books)))
    office.meet(gateway)
    await gateway.runner.setup()
    stack.push_async_callback(office.close)
    stack.push_async_callback(gateway.close)
    gateway.follow()
    await office.open(within_seconds=10)
    site = web.TCPSite(gateway.runner, "127.0.0.1", 0)
    await site.start()
    http = await stack.enter_async_context(aiohttp.ClientSession())
    url = f"http://127.0.0.1:{gateway.runner.addresses[0][1]}"
    live = gateway.upstreams.live
    await until(lambda: all(one.proven_at is not None for one in live.values()))
    return Policed(office, gateway, current, config_file, url, http, books, openrouter, mlx)
