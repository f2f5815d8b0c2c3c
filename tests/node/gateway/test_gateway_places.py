"""Places on upstreams: who gets one, when it is given back, and that none is ever lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.node.gateway.config import Loaded
from fleet.node.gateway.upstreams import LiveUpstream, Place, Upstreams
from fleet.traffic.breaker import Phase
from fleet.traffic.choice import Choice, Readiness
from fleet.traffic.config import Breaker, GatewayConfig, Listen, Queue, Route, Upstream
from fleet.traffic.dialects.dialect import Asked
from fleet.traffic.keyring import KeyRing
from fleet.traffic.work import Shape, Work
from fleet.vocabulary.names import GatewayRole, Intent, Lane
from fleet.vocabulary.secret import Secret

SHAPE = Shape(prompt_bytes=3500, output_tokens=100)


@dataclass(frozen=True)
class Ask:
    """A request for a place."""

    route: Route
    shape: Shape = SHAPE
    key: str = "k"


def an_upstream(name: str = "a", **changes: Any) -> Upstream:
    values = {"name": name, "kind": "sidecar", "url": "http://127.0.0.1:9", "engine": "mlx_lm", "serves": "smol"}
    return Upstream(**{**values, "model": "default_model", **changes})


def loaded(*specs: Upstream, **changes: Any) -> Loaded:
    keys = changes.pop("upstream_keys", {})
    config = GatewayConfig(
        node="n",
        role=GatewayRole.FRONT,
        listen=Listen(host="127.0.0.1", port=1),
        keys_file="keys.json",
        upstreams=specs,
        **changes,
    )
    return Loaded(config=config, keys=KeyRing(), sha256="x", upstream_keys=keys)


def upstreams(*specs: Upstream, **changes: Any) -> Upstreams:
    made = Upstreams()
    made.follow(loaded(*specs, **changes))
    return made


def ask(*names: str, shape: Shape = SHAPE, key: str = "k") -> Ask:
    return Ask(Route(name="+".join(names), upstreams=names), shape, key)


def batch(shape: Shape = SHAPE) -> Shape:
    return Shape(prompt_bytes=shape.prompt_bytes, output_tokens=shape.output_tokens, lane=Lane.BATCH)


async def taken(made: Upstreams, asking: Ask, **more: Any) -> Place:
    place = await made.take(asking, **more)
    assert isinstance(place, Place)
    return place


async def queued(made: Upstreams, asking: Ask, *, wait_seconds: float = 30.0) -> asyncio.Task[Place | Choice]:
    """A request that waits."""
    task = asyncio.ensure_future(made.take(asking, wait_seconds=wait_seconds))
    await asyncio.sleep(0)
    assert not task.done()
    return task


def nothing_is_held(upstream: LiveUpstream) -> bool:
    held = (upstream.in_flight, upstream.outstanding_tokens, upstream.load.held_tokens, upstream.circuit.trial)
    return held == (0, 0, 0, 0)


async def test_a_place_takes_its_tokens_and_gives_them_back_once() -> None:
    made = upstreams(an_upstream())
    live = made.live["a"]
    place = await taken(made, ask("a"))
    assert (live.in_flight, live.outstanding_tokens, live.load.held_tokens) == (1, 1100, 1100)
    place.began()
    assert (live.outstanding_tokens, live.load.held_tokens) == (100, 1100)
    place.leave()
    place.leave()
    place.began()
    assert nothing_is_held(live)


async def test_who_waits_gets_the_place_that_is_given_back() -> None:
    made = upstreams(an_upstream(max_in_flight=1))
    first = await taken(made, ask("a"))
    waiting = await queued(made, ask("a"))
    first.leave()
    place = await waiting
    assert isinstance(place, Place)
    assert made.live["a"].in_flight == 1
    place.leave()
    assert nothing_is_held(made.live["a"])


async def test_who_waits_too_long_learns_who_is_full() -> None:
    made = upstreams(an_upstream(max_in_flight=1))
    place = await taken(made, ask("a"))
    choice = await made.take(ask("a"), wait_seconds=0.02)
    assert isinstance(choice, Choice)
    assert choice.full == ("a",)
    assert made.waiting(Lane.INTERACTIVE) == 0
    place.leave()


async def test_who_will_not_wait_is_told_at_once() -> None:
    made = upstreams(an_upstream(max_in_flight=1))
    await taken(made, ask("a"))
    choice = await made.take(ask("a"))
    assert isinstance(choice, Choice)
    assert choice.full == ("a",)


async def test_too_many_waiting_of_one_key_are_sent_away_and_another_key_is_not() -> None:
    made = upstreams(an_upstream(max_in_flight=1), queue=Queue(longest=10, per_key=2))
    place = await taken(made, ask("a"))
    waiting = [await queued(made, ask("a")) for _ in range(2)]
    assert isinstance(await made.take(ask("a"), wait_seconds=30.0), Choice)
    waiting.insert(1, await queued(made, ask("a", key="another")))
    place.leave()
    for task in waiting:
        one = await task
        assert isinstance(one, Place)
        one.leave()


async def test_interactive_goes_before_batch_and_keys_take_turns() -> None:
    made = upstreams(an_upstream(max_in_flight=1))
    place = await taken(made, ask("a"))
    order: list[str] = []

    async def one(name: str, asking: Ask) -> None:
        mine = await made.take(asking, wait_seconds=30.0)
        assert isinstance(mine, Place)
        order.append(name)
        await asyncio.sleep(0)
        mine.leave()

    tasks = []
    for name, asking in (
        ("batch", ask("a", shape=batch())),
        ("x1", ask("a", key="x")),
        ("x2", ask("a", key="x")),
        ("y1", ask("a", key="y")),
    ):
        tasks.append(asyncio.ensure_future(one(name, asking)))
        await asyncio.sleep(0)
    place.leave()
    await asyncio.gather(*tasks)
    assert order == ["x1", "y1", "x2", "batch"]


async def test_a_full_route_holds_nobody_up_on_another() -> None:
    made = upstreams(an_upstream("a", max_in_flight=1), an_upstream("b"))
    first = await taken(made, ask("a"))
    waiting = await queued(made, ask("a"))
    (await taken(made, ask("b"), wait_seconds=30.0)).leave()
    first.leave()
    one = await waiting
    assert isinstance(one, Place)


async def test_cancelling_one_who_waits_leaves_the_others_where_they_are() -> None:
    made = upstreams(an_upstream(max_in_flight=1))
    place = await taken(made, ask("a"))
    tasks = [await queued(made, ask("a", key=f"k{number}")) for number in range(3)]
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    place.leave()
    second = await tasks[1]
    assert isinstance(second, Place)
    assert not tasks[2].done()
    second.leave()
    third = await tasks[2]
    assert isinstance(third, Place)
    third.leave()
    assert nothing_is_held(made.live["a"])


async def test_a_place_that_comes_as_its_client_leaves_goes_to_the_next() -> None:
    made = upstreams(an_upstream(max_in_flight=1))
    place = await taken(made, ask("a"))
    tasks = [await queued(made, ask("a")) for _ in range(2)]
    place.leave()
    tasks[0].cancel()  # it holds the place already, and does not know it
    await asyncio.wait(tasks[:1])
    assert tasks[0].cancelled()
    last = await tasks[1]
    assert isinstance(last, Place)
    last.leave()
    assert nothing_is_held(made.live["a"])


async def test_a_thousand_cancelled_waiters_leak_nothing() -> None:
    made = upstreams(an_upstream(max_in_flight=2), queue=Queue(longest=2000, per_key=2000))
    held = [await taken(made, ask("a")) for _ in range(2)]
    tasks = [asyncio.ensure_future(made.take(ask("a"), wait_seconds=30.0)) for _ in range(1000)]
    await asyncio.sleep(0)
    for number, task in enumerate(tasks):
        if number == 500:
            held[0].leave()
        task.cancel()
    await asyncio.wait(tasks)
    held[1].leave()
    assert nothing_is_held(made.live["a"])
    assert made.waiting(Lane.INTERACTIVE) == 0


async def test_who_waits_is_told_when_there_is_nothing_to_wait_for_any_more() -> None:
    made = upstreams(an_upstream(max_in_flight=1))
    await taken(made, ask("a"))
    waiting = await queued(made, ask("a"))
    made.live["a"].intent = Intent.DRAINING
    choice = await waiting
    assert isinstance(choice, Choice)
    assert choice.refused == {"a": "draining"}


async def test_a_new_upstream_takes_those_who_wait() -> None:
    made = upstreams(an_upstream("a", max_in_flight=1))
    first = await taken(made, ask("a", "b"))
    waiting = await queued(made, ask("a", "b"))
    made.follow(loaded(an_upstream("a", max_in_flight=1), an_upstream("b")))
    place = await waiting
    assert isinstance(place, Place)
    assert place.upstream.name == "b"
    first.leave()


async def test_an_upstream_that_asked_for_quiet_is_asked_when_its_time_is_over() -> None:
    made = upstreams(an_upstream("a", max_in_flight=1), an_upstream("b", serves="other"))
    await taken(made, ask("a"))
    loop = asyncio.get_running_loop()
    made.live["b"].busy(loop.time(), 0.05)
    waiting = await queued(made, ask("a", "b"))
    place = await waiting
    assert isinstance(place, Place)
    assert place.upstream.name == "b"


async def test_a_429_is_no_failure() -> None:
    made = upstreams(an_upstream("a"), breaker=Breaker(failures=1))
    made.live["a"].busy(0.0, 60.0)
    assert made.live["a"].circuit.phase(0.0) is Phase.CLOSED


async def test_live_failures_leave_an_upstream_alone_and_a_proof_brings_it_back() -> None:
    made = upstreams(an_upstream("a"), an_upstream("b", serves="other"), breaker=Breaker(failures=2))
    live, now = made.live["a"], asyncio.get_running_loop().time()
    live.proved(now)
    for _ in range(2):
        live.failed(now, "closed the connection", out=False)
    assert made.choose(ask("a", "b").route).attempts == ("b",)
    assert live.readiness is Readiness.UNKNOWN
    assert live.changed.is_set()
    live.proved(now)
    assert made.choose(ask("a", "b").route).attempts == ("a", "b")
    assert made.live["a"].readiness is Readiness.READY


async def test_a_probe_that_refutes_is_believed_though_nobody_else_is_there() -> None:
    made = upstreams(an_upstream("a"))
    made.live["a"].refuted("no answer within 10 s")
    assert made.choose(ask("a").route).refused == {"a": "no answer within 10 s"}


async def test_a_trial_that_is_cancelled_makes_way_for_the_next() -> None:
    clock = [0.0]
    made = Upstreams(clock=lambda: clock[0])
    made.follow(loaded(an_upstream("a"), an_upstream("b", serves="other")))
    made.live["a"].failed(0.0, "connection refused", out=True)
    clock[0] = 2.0
    trial = await taken(made, ask("a", "b"))
    assert trial.upstream.name == "a"
    assert made.choose(ask("a", "b").route).attempts == ("b",)
    trial.leave()
    assert made.choose(ask("a", "b").route).attempts == ("a", "b")
    assert nothing_is_held(made.live["a"])


async def test_the_next_request_of_a_conversation_goes_where_the_last_one_was() -> None:
    made = upstreams(*(an_upstream(name) for name in "abc"))
    shape = Shape(prompt_bytes=2048, output_tokens=10, chain=(1, 2, 3, 4))
    first = await taken(made, ask("a", "b", "c", shape=shape))
    first.began()
    longer = Shape(prompt_bytes=2560, output_tokens=10, chain=(1, 2, 3, 4, 5))
    second = await taken(made, ask("a", "b", "c", shape=longer))
    assert second.upstream is first.upstream
    fresh = await taken(made, ask("a", "b", "c", shape=Shape(prompt_bytes=2048, chain=(9, 8))))
    assert fresh.upstream is not first.upstream


async def test_what_an_engine_counts_is_learned_once() -> None:
    made = upstreams(an_upstream())
    live = made.live["a"]
    live.prefixes.remember((1, 2))
    place = await taken(made, ask("a", shape=Shape(prompt_bytes=2048, output_tokens=10, chain=(1, 2, 3))))
    usage = {"prompt_tokens": 512, "prompt_tokens_details": {"cached_tokens": 256}}
    place.learned(usage)
    place.learned(usage)
    assert live.prompt_tokens_total == 512
    assert live.cached_tokens_total == 256
    assert live.predicted_cached_tokens_total == 293
    assert live.ratio.tokens_per_byte < 1 / 3.5


usages = st.dictionaries(
    st.sampled_from(["prompt_tokens", "prompt_tokens_details", "cached_tokens"]),
    st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats() | st.text(max_size=3) | st.lists(st.none()),
)


@given(usage=usages, details=usages | st.none())
def test_whatever_an_engine_says_of_usage_counters_only_rise(usage: dict[str, Any], details: Any) -> None:
    live = LiveUpstream(an_upstream(), engine=_engine())
    live.learned({**usage, "prompt_tokens_details": details}, prompt_bytes=4000, matched_tokens=100)
    assert live.prompt_tokens_total >= live.cached_tokens_total >= 0
    assert live.prompt_tokens_total >= live.predicted_cached_tokens_total >= 0


def _engine() -> Any:
    return upstreams(an_upstream()).live["a"].engine


async def test_what_did_not_change_keeps_all_that_is_known_of_it() -> None:
    made = upstreams(an_upstream("a"), an_upstream("b"))
    a, b = made.live["a"], made.live["b"]
    b.intent = Intent.DRAINING
    b.ratio = b.ratio.learned(4000, 900)
    place = await taken(made, ask("a"))
    made.follow(loaded(an_upstream("a"), an_upstream("b", max_in_flight=3)))
    assert made.live["a"] is a
    assert made.live["b"] is not b
    assert made.live["b"].intent is Intent.DRAINING
    assert made.live["b"].ratio == b.ratio
    place.leave()
    assert nothing_is_held(a)


async def test_what_runs_on_a_server_counts_under_its_new_configuration() -> None:
    made = upstreams(an_upstream(max_in_flight=1))
    place = await taken(made, ask("a"))
    before = made.live["a"]
    made.follow(loaded(an_upstream(max_in_flight=2)))
    now = made.live["a"]
    assert now is not before
    assert now.in_flight == 1
    other = await taken(made, ask("a"))
    assert not isinstance(await made.take(ask("a")), Place)
    place.leave()
    other.leave()
    assert nothing_is_held(now)


async def test_what_runs_on_another_server_of_the_same_name_does_not_count() -> None:
    made = upstreams(an_upstream())
    place = await taken(made, ask("a"))
    made.follow(loaded(an_upstream(url="http://127.0.0.1:2")))
    assert made.live["a"].in_flight == 0
    place.leave()
    assert made.live["a"].in_flight == 0


async def test_another_key_is_another_upstream() -> None:
    made = upstreams(an_upstream())
    before = made.live["a"]
    made.follow(loaded(an_upstream(), upstream_keys={"a": Secret("another")}))
    assert made.live["a"] is not before


def test_a_request_is_measured_and_its_beginnings_are_hashed_only_where_there_is_a_choice() -> None:
    made = upstreams(an_upstream("a"), an_upstream("b"))
    request = {"messages": [{"role": "user", "content": "word " * 1000}], "max_tokens": 7}
    asked = Asked(work=Work.CHAT, request=request, original=request, model="m", stream=True, wants_usage=False)
    several = made.shape(asked, ask("a", "b").route, {}, lane=Lane.BATCH, size_bytes=5100)
    alone = made.shape(asked, ask("a").route, {}, lane=Lane.BATCH, size_bytes=5100)
    assert (len(several.chain), alone.chain) == (9, ())
    assert several.prompt_bytes == alone.prompt_bytes > 5000
    assert several.prompt_tokens == made.ratio(ask("a").route).tokens(several.prompt_bytes)
    assert (several.output_tokens, several.lane) == (7, Lane.BATCH)
    assert several.session
    assert not alone.session


class Traffic:
    """Anything that may happen to three upstreams, one step after another."""

    def __init__(self) -> None:
        self.specs = [
            an_upstream("a", max_in_flight=1),
            an_upstream("b", max_in_flight=2, kv_bytes=3000, kv_bytes_per_token=1, prompt_cache_size=1),
            an_upstream("c", max_in_flight=1, serves="other", context_tokens=2000),
        ]
        self.made = Upstreams()
        self.seen: set[LiveUpstream] = set()
        self.most: dict[str, int] = {}
        self.places: list[Place] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.follow(0)

    def one(self, number: int) -> LiveUpstream:
        return list(self.made.live.values())[number % 3]

    def ask(self, number: int) -> None:
        size = (500, 5000, 50_000)[number % 3]
        names = ("a", "b", "c")[number % 3 :] + ("a", "b")[: number % 2]
        lane = (Lane.INTERACTIVE, Lane.BATCH)[number % 2]
        shape = Shape(prompt_bytes=size, chain=tuple(range(number % 4)), lane=lane)
        route = Route(name=str(names), upstreams=tuple(dict.fromkeys(names)))
        wait_seconds = 0.0 if number % 3 == 0 else 30.0

        async def wait() -> None:
            found = await self.made.take(Ask(route, shape, "xyz"[number % 3]), wait_seconds=wait_seconds)
            if isinstance(found, Place):
                self.places.append(found)

        self.tasks.append(asyncio.ensure_future(wait()))

    def leave(self, number: int) -> None:
        if self.places:
            place = self.places.pop(number % len(self.places))
            if number % 2:
                place.began()
            place.learned({"prompt_tokens": number})
            place.leave()

    def cancel(self, number: int) -> None:
        if self.tasks:
            self.tasks[number % len(self.tasks)].cancel()

    def fail(self, number: int) -> None:
        self.one(number).failed(asyncio.get_running_loop().time(), "failed", out=bool(number % 2))

    def prove(self, number: int) -> None:
        self.one(number).proved(asyncio.get_running_loop().time())

    def busy(self, number: int) -> None:
        self.one(number).busy(asyncio.get_running_loop().time(), number / 10_000)

    def refute(self, number: int) -> None:
        self.one(number).refuted("gone")

    def drain(self, number: int) -> None:
        self.one(number).intent = (Intent.SERVING, Intent.DRAINING)[number % 2]

    def follow(self, number: int) -> None:
        self.specs[number % 3] = msgspec.structs.replace(self.specs[number % 3], max_in_flight=1 + number % 4)
        breaker = Breaker(failures=1, first_seconds=0.001, longest_seconds=0.01)
        self.made.follow(loaded(*self.specs, queue=Queue(longest=6, per_key=3), breaker=breaker))
        self.seen |= set(self.made.live.values())
        for one in self.made.live.values():  # what it had room for once may still be there
            self.most[one.name] = max(self.most.get(one.name, 0), one.spec.max_in_flight)

    def check(self) -> None:
        for one in self.seen:
            assert 0 <= one.in_flight <= self.most[one.name]
            assert one.outstanding_tokens >= 0
            assert one.load.held_tokens >= 0

    async def end(self) -> None:
        """Everybody is served once all upstreams serve; then nothing is left."""
        for one in self.made.live.values():
            one.intent = Intent.SERVING
            one.proved(0.0)
        for _ in range(200):
            await asyncio.sleep(0)
            while self.places:
                self.places.pop().leave()
        assert all(task.done() for task in self.tasks)
        assert all(nothing_is_held(one) for one in self.seen)
        assert self.made.waiting(Lane.INTERACTIVE) == self.made.waiting(Lane.BATCH) == 0


STEPS = ("ask", "ask", "ask", "leave", "leave", "cancel", "fail", "prove", "busy", "refute", "follow", "drain", "turn")


@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 30)), max_size=60))
@settings(deadline=None)
def test_no_order_of_events_leaks_a_place(steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        traffic = Traffic()
        for step, number in steps:
            if step == "turn":
                await asyncio.sleep(0)
            else:
                getattr(traffic, step)(number)
            traffic.check()
        await traffic.end()

    asyncio.run(run())
