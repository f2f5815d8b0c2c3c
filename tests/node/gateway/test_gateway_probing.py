"""What is asked to prove an upstream, and what its answer means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from gateway_harness import until

from fleet.node.gateway.config import Loaded
from fleet.node.gateway.failures import UpstreamFailure, unreachable
from fleet.node.gateway.probing import Prober
from fleet.node.gateway.upstreams import LiveUpstream, Upstreams
from fleet.traffic.breaker import Phase
from fleet.traffic.choice import Readiness
from fleet.traffic.config import GatewayConfig, Listen, Probing, Upstream
from fleet.traffic.keyring import KeyRing
from fleet.vocabulary.names import GatewayRole

GOOD = b'data: {"choices":[{"delta":{"content":"p"},"finish_reason":"length"}]}\n\ndata: [DONE]\n\n'
CUT = b'data: {"choices":[{"delta":{"content":"p"}}]}\n\n'
QUICK = Probing(down_seconds=0.005, idle_seconds=0.01, edge_seconds=0.01, timeout_seconds=0.2, failures=2)


class Said:
    """An event stream that was sent whole."""

    headers: Mapping[str, str] = {}
    events = True

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = False

    async def read(self) -> bytes:
        data, self.data = self.data, b""
        return data

    async def whole(self, *, longest_bytes: int) -> bytes:
        return (await self.read())[:longest_bytes]

    async def finish(self) -> None:
        return

    def cut(self) -> None:
        self.left = True


@dataclass
class Asked:
    """A caller that answers as it is told to, and remembers what it was asked."""

    answers: bytes | UpstreamFailure | None = GOOD
    status: int = 200
    listed: bytes | UpstreamFailure = b'{"data": [{"id": "m"}]}'
    seen: list[str] = field(default_factory=list)
    replies: list[Said] = field(default_factory=list)

    async def ask(
        self, upstream: LiveUpstream, path: str, body: bytes, *, headers: Mapping[str, str], connect_seconds: float
    ) -> Said:
        self.seen.append(f"POST {path}")
        if self.answers is None:
            await asyncio.sleep(60)
        if isinstance(self.answers, UpstreamFailure):
            raise self.answers
        self.replies.append(Said(self.answers or b""))
        return self.replies[-1]

    async def get(
        self, upstream: LiveUpstream, path: str, *, longest_bytes: int, connect_seconds: float
    ) -> tuple[int, bytes]:
        self.seen.append(f"GET {path}")
        if isinstance(self.listed, UpstreamFailure):
            raise self.listed
        return self.status, self.listed


@pytest.fixture
async def watch() -> AsyncIterator[Any]:
    """Probes one upstream of a kind until the test's end."""
    probers: list[Prober] = []

    def go(caller: Asked, *, kind: str = "sidecar", engine: str = "mlx_lm") -> LiveUpstream:
        spec = Upstream(name="a", kind=kind, url="http://127.0.0.1:9", engine=engine, serves="m", model="m")
        config = GatewayConfig(
            node="n",
            role=GatewayRole.FRONT,
            listen=Listen(host="127.0.0.1", port=1),
            keys_file="k",
            upstreams=(spec,),
            probing=QUICK,
        )
        upstreams = Upstreams()
        upstreams.follow(Loaded(config=config, keys=KeyRing(), sha256="x"))
        prober = Prober(caller=caller, upstreams=upstreams, config=lambda: config)
        prober.follow()
        probers.append(prober)
        return upstreams.live["a"]

    yield go
    for prober in probers:
        await prober.close()


async def test_a_sidecar_is_proven_by_a_completion_and_its_connection_is_left(watch: Any) -> None:
    caller = Asked()
    live = watch(caller)
    await until(lambda: live.readiness is Readiness.READY)
    assert set(caller.seen) == {"POST /v1/chat/completions"}
    assert all(reply.left for reply in caller.replies)


async def test_a_sidecar_that_answers_nothing_is_down_after_two_probes_and_comes_back(watch: Any) -> None:
    caller = Asked(answers=CUT)
    live = watch(caller)
    await until(lambda: live.readiness is Readiness.DOWN)
    assert len(caller.seen) >= QUICK.failures
    caller.answers = GOOD
    await until(lambda: live.readiness is Readiness.READY)


async def test_a_hanging_sidecar_is_down_though_it_takes_connections(watch: Any) -> None:
    live = watch(Asked(answers=None))
    await until(lambda: live.readiness is Readiness.DOWN)
    assert live.reason == "no answer within 0.2 s"


async def test_a_bug_in_a_probe_does_not_end_all_probes(watch: Any) -> None:
    class Buggy(Asked):
        async def ask(self, *args: Any, **kwargs: Any) -> Said:
            reply = await super().ask(*args, **kwargs)
            if len(self.seen) < 3:
                raise KeyError("a bug")
            return reply

    live = watch(Buggy())
    await until(lambda: live.readiness is Readiness.READY)


async def test_a_busy_sidecar_is_not_judged_by_a_late_probe(watch: Any) -> None:
    caller = Asked(answers=None)
    live = watch(caller)
    live.load.in_flight = 1
    await until(lambda: len(caller.seen) > QUICK.failures)
    assert live.readiness is Readiness.UNKNOWN


async def test_a_refused_connection_needs_no_second_probe(watch: Any) -> None:
    caller = Asked(answers=unreachable("connection refused"))
    live = watch(caller)
    await until(lambda: live.readiness is Readiness.DOWN)
    assert live.reason == "connection refused"


async def test_a_probe_closes_the_breaker_of_a_sidecar(watch: Any) -> None:
    live = watch(Asked())
    await until(lambda: live.readiness is Readiness.READY)
    live.failed(asyncio.get_running_loop().time(), "connection refused", out=True)
    await until(lambda: live.circuit.phase(0.0) is Phase.CLOSED)


async def test_an_edge_is_believed_about_its_model(watch: Any) -> None:
    caller = Asked(listed=b'{"data": [{"id": "m", "fleet": {"ready": false, "reason": "loading"}}]}')
    live = watch(caller, kind="edge", engine="edge")
    await until(lambda: live.readiness is Readiness.DOWN)
    assert live.reason == "loading"
    assert not any(one.startswith("POST") for one in caller.seen)


@pytest.mark.parametrize("engine", ["openai_compatible", "openrouter"])
async def test_an_api_is_never_asked_for_a_completion_that_would_cost_money(watch: Any, engine: str) -> None:
    caller = Asked()
    live = watch(caller, kind="api", engine=engine)
    await until(lambda: live.readiness is Readiness.READY)
    assert not any(one.startswith("POST") for one in caller.seen)


async def test_an_api_that_lists_no_models_is_not_judged_by_that(watch: Any) -> None:
    caller = Asked(status=404, listed=b"not here")
    live = watch(caller, kind="api", engine="openai_compatible")
    await until(lambda: len(caller.seen) > 2)
    assert live.readiness is Readiness.UNKNOWN
    assert live.circuit.phase(0.0) is Phase.CLOSED


async def test_an_api_that_is_there_keeps_its_open_breaker(watch: Any) -> None:
    caller = Asked()
    live = watch(caller, kind="api", engine="openrouter")
    await until(lambda: live.readiness is Readiness.READY)
    live.failed(asyncio.get_running_loop().time(), "refused our key", out=True)
    live.proven_at = None
    asked = len(caller.seen)
    await until(lambda: len(caller.seen) > asked + 1)
    assert live.circuit.opens_at is not None
