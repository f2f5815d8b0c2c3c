"""What a front may send requests to, and by which routes: from the inventory to the gateway's file."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from desired_kit import INVENTORY, MANIFEST, SECRETS, Kit, a_project, stand_in
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.desired import Compiled
from fleet.control.desired.apiupstreams import price_per_token
from fleet.control.desired.lint import lint
from fleet.control.desired.sidecarupstreams import PROMPT_CACHE_SIZE
from fleet.control.inventory.serving import PriceSetting
from fleet.engines import SidecarSpec
from fleet.engines.mlx_lm_options import option_words
from fleet.errors import InventoryError
from fleet.traffic.config import GatewayConfig, Price, Timeouts, Upstream
from fleet.vocabulary.contracts.desired import File
from fleet.vocabulary.names import NodeName, Track
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.units import GIB

Golden = Callable[[str, str], None]

APIS = """\
        upstreams:
          openrouter:
            key: file:secrets/openrouter.key
            headers: {HTTP-Referer: https://fleet.example, X-Title: our fleet}
            models:
              flash: vendor/model-flash
              large: {asked: vendor/large, context: 1000000, price: {prompt_per_million: 5, completion_per_million: 25}}
          lab:
            url: https://lab.example/v1/
            models: [lab-7b]
            works: [chat, embeddings]
            max_in_flight: 4
            context: 32768
        gateway_timeouts: {first_token: 5m, queue: 30s}
        gateway_queue: {longest: 64}
        default_route: token-track
        budgets: {dollar: {monthly_usd: 800}}
"""
ROUTES = """\
        routes:
          code: [smollm2]
          token-track: [smollm2, flash]
          dollar-track: {models: [large], track: dollar, timeouts: {first_token: 90s, total: 1h}}
          law: {models: [smollm2], track: private}
"""
WITH_APIS = INVENTORY.replace("        routes: {code: [smollm2]}\n", ROUTES + APIS)
OPENROUTER_KEY = Secret("the-key-for-openrouter")


@pytest.fixture(autouse=True)
def a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECRETS, "file:secrets/openrouter.key", OPENROUTER_KEY)  # type: ignore[arg-type]


def front_of(kit: Kit) -> Compiled:
    return kit.one("front-1")


def config_of(compiled: Compiled) -> GatewayConfig:
    found = next(one for one in compiled.state.items if one.key == "file:/opt/fleet/etc/gateway.json")
    assert isinstance(found, File)
    return msgspec.json.decode(compiled.contents[found.blob.digest], type=GatewayConfig)


def upstreams_of(compiled: Compiled) -> dict[str, Upstream]:
    return {upstream.name: upstream for upstream in config_of(compiled).upstreams}


def test_the_gateway_file_of_a_front_with_apis_is_the_golden(tmp_path: Path, golden: Golden) -> None:
    config = config_of(front_of(a_project(tmp_path, inventory=WITH_APIS)))
    golden("front-1.apis.gateway.json", msgspec.json.format(msgspec.json.encode(config), indent=2).decode() + "\n")


def test_a_front_gets_one_upstream_for_every_model_of_an_api(tmp_path: Path) -> None:
    found = upstreams_of(front_of(a_project(tmp_path, inventory=WITH_APIS)))
    flash, large, lab = found["openrouter/flash"], found["openrouter/large"], found["lab/lab-7b"]
    assert (flash.kind, flash.engine, flash.url) == ("api", "openrouter", "https://openrouter.ai/api")
    assert (flash.serves, flash.model, flash.max_in_flight) == ("flash", "vendor/model-flash", 64)
    assert flash.headers == {"HTTP-Referer": "https://fleet.example", "X-Title": "our fleet"}
    assert (large.context_tokens, large.price) == (1_000_000, Price(prompt="0.000005", completion="0.000025"))
    assert (lab.engine, lab.url, lab.key_file) == ("openai_compatible", "https://lab.example", None)
    assert (lab.works, lab.max_in_flight, lab.context_tokens) == (("chat", "embeddings"), 4, 32768)


def test_an_edge_knows_no_api_and_no_key_of_one(tmp_path: Path) -> None:
    everywhere = INVENTORY.replace(
        "    model: smollm2\n",
        "    model: smollm2\n    upstreams: {openrouter: {models: [a/b], key: file:secrets/openrouter.key}}\n",
    )
    edge = a_project(tmp_path, inventory=everywhere).one("mini-1")
    assert [upstream.kind for upstream in config_of(edge).upstreams] == ["sidecar"]
    assert not [one for one in edge.state.items if "upstream-" in one.key]


def test_the_key_of_an_api_is_a_0600_file_of_the_front_and_a_digest_in_the_state(tmp_path: Path) -> None:
    front = front_of(a_project(tmp_path, inventory=WITH_APIS))
    path = "/opt/fleet/etc/upstream-openrouter.key"
    found = next(one for one in front.state.items if one.key == f"file:{path}")
    assert isinstance(found, File)
    assert (stat.filemode(found.mode)[1:], found.owner, found.sensitive) == ("rw-------", "fleet", True)
    assert found.blob.digest.startswith("hmac-sha256:")
    assert front.secrets[found.blob.digest]().reveal() == OPENROUTER_KEY.reveal()
    gateway = next(one for one in front.state.daemons if one.service == "gateway")
    assert path in gateway.reload
    assert upstreams_of(front)["openrouter/flash"].key_file == path


def test_the_fleets_own_key_is_never_shown_to_an_api(tmp_path: Path) -> None:
    kit = a_project(tmp_path, inventory=WITH_APIS.replace("file:secrets/openrouter.key", "file:secrets/fleet.key"))
    with pytest.raises(InventoryError) as caught:
        front_of(kit)
    assert "openrouter would be told what fronts and the laptop show to nodes" in caught.value.text
    assert caught.value.place.endswith("inventory/fleet.yml:25:13")


def test_a_route_that_may_leave_the_own_machines_is_on_the_token_track_and_any_other_is_private(tmp_path: Path) -> None:
    routes = {route.name: route for route in config_of(front_of(a_project(tmp_path, inventory=WITH_APIS))).routes}
    tracks = {name: route.track for name, route in routes.items()}
    assert tracks == {
        "token-track": Track.TOKEN,
        "code": Track.PRIVATE,
        "dollar-track": Track.DOLLAR,
        "law": Track.PRIVATE,
        "smollm2": Track.PRIVATE,
        "flash": Track.TOKEN,
        "large": Track.TOKEN,
        "lab-7b": Track.TOKEN,
    }
    assert next(iter(routes)) == "token-track"
    assert routes["token-track"].upstreams == ("mini-1/smollm2", "mini-2/smollm2", "openrouter/flash")


def test_a_model_that_an_api_serves_too_is_no_private_route_by_itself(tmp_path: Path) -> None:
    both = WITH_APIS.replace("flash: vendor/model-flash", "smollm2: vendor/smollm2").replace(", flash]", "]")
    routes = {
        route.name: route
        for route in config_of(
            front_of(
                a_project(tmp_path, inventory=both.replace("          law: {models: [smollm2], track: private}\n", ""))
            )
        ).routes
    }
    assert routes["smollm2"].track is Track.TOKEN
    assert routes["smollm2"].upstreams[-1] == "openrouter/smollm2"


def test_a_route_waits_as_it_says_and_else_as_the_gateway_does(tmp_path: Path) -> None:
    config = config_of(front_of(a_project(tmp_path, inventory=WITH_APIS)))
    assert config.timeouts == msgspec.structs.replace(Timeouts(), first_token_seconds=300.0, queue_seconds=30.0)
    own = next(route.timeouts for route in config.routes if route.name == "dollar-track")
    assert own == msgspec.structs.replace(config.timeouts, first_token_seconds=90.0, total_seconds=3600.0)
    assert all(route.timeouts is None for route in config.routes if route.name != "dollar-track")
    assert (config.queue.longest, config.queue.per_key) == (64, 256)


def test_the_gateway_gets_an_admin_door_and_a_folder_of_its_own(tmp_path: Path) -> None:
    edge = a_project(tmp_path, overrides=("gateway_admin_port=9999",)).one("mini-1")
    config = config_of(edge)
    assert (config.admin_port, config.state_dir) == (9999, "/opt/fleet/var/gateway")
    folder = next(one for one in edge.state.items if one.key == "directory:/opt/fleet/var/gateway")
    assert (folder.mode, folder.owner) == (0o700, "fleet")  # type: ignore[union-attr]
    gateway = next(one for one in edge.state.daemons if one.service == "gateway")
    assert gateway.ports == (8790, 9999)


def test_a_model_that_nothing_serves_is_told_with_its_place_and_the_nearest(tmp_path: Path) -> None:
    kit = a_project(tmp_path, inventory=WITH_APIS.replace("[smollm2, flash]", "[smollm2, flahs]"))
    found = lint(kit.inventory, kit.playbook, project=kit.project, facts={}).findings
    error = next(one for one in found if one.level == "error")
    assert error.place.endswith("inventory/fleet.yml:20:34")
    assert "routes: 'token-track' names 'flahs', which no sidecar and no upstream serves" in error.message
    assert error.hint == "did you mean `flash`?"


# ---------------------------------------------------------------- memory of sidecars

SIDECARS = """\
- name: p
  hosts: {nodes}
  tasks:
    - {{name: e, python_env: {{name: mlx}}}}
    - {{name: n, python_env: {{name: node}}}}
    - {{name: w, model: {{name: smollm2}}}}
    - {{name: a, daemon: {{service: sidecar, name: a, env: mlx, model: smollm2, port: 8800, {a}}}}}
    - {{name: b, daemon: {{service: sidecar, name: b, env: mlx, model: smollm2, port: 8801, {b}}}}}
    - {{name: g, daemon: {{service: gateway, role: edge, env: node}}}}
- name: q
  hosts: front-1
  tasks:
    - {{name: n, python_env: {{name: node}}}}
    - {{name: g, daemon: {{service: gateway, role: front, env: node}}}}
"""


def seen_by_both(folder: Path, *, a: str, b: str, manifest: object = None) -> tuple[list[Upstream], Upstream]:
    """The sidecars as their own gateway has them, and as the front has them."""
    files = {"models/smollm2.json": msgspec.json.encode(manifest).decode()} if manifest else {}
    kit = a_project(folder, playbook=SIDECARS.format(nodes="mini-1", a=a, b=b), files=files)
    compiled = kit.compile("mini-1", "front-1")
    own = list(config_of(compiled[NodeName("mini-1")]).upstreams)
    return own, config_of(compiled[NodeName("front-1")]).upstreams[0]


def test_requests_may_use_what_the_reserve_leaves_beside_the_prompt_cache(tmp_path: Path) -> None:
    own, edge = seen_by_both(
        tmp_path,
        a="kv_reserve: 2GiB",
        b="kv_reserve: 4GiB, context: 4096, max_in_flight: 3, options: {prompt_cache_bytes: 1GiB,"
        " prompt_cache_size: 20}",
    )
    first, second = own
    assert (first.kv_bytes, first.kv_bytes_per_token, first.prompt_cache_size) == (1 * GIB, 23040, PROMPT_CACHE_SIZE)
    assert (second.kv_bytes, second.kv_bytes_per_token, second.prompt_cache_size) == (3 * GIB, 23040, 20)
    assert (first.context_tokens, second.context_tokens) == (8192, 4096)
    assert (edge.kv_bytes, edge.kv_bytes_per_token, edge.context_tokens) == (4 * GIB, 23040, 4096)
    assert (edge.max_in_flight, edge.prompt_cache_size) == (19, 28)


def test_a_sidecar_whose_memory_is_not_known_bounds_nothing(tmp_path: Path) -> None:
    unknown = {**MANIFEST, "kv_bytes_per_token": None, "context_tokens": None}
    own, edge = seen_by_both(tmp_path, a="kv_reserve: 2GiB", b="kv_reserve: 1GiB", manifest=unknown)
    assert [one.kv_bytes_per_token for one in own] == [None, None]
    assert (edge.kv_bytes_per_token, edge.context_tokens) == (None, None)


def test_a_front_says_the_same_of_nodes_that_are_not_deployed_with_it(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    assert kit.one("front-1").state.state_id == kit.compile()[NodeName("front-1")].state.state_id
    alone = stand_in(kit.needs("front-1"))
    assert not alone.models
    assert config_of(kit.one("front-1")).upstreams[0].kv_bytes_per_token == 23040


def test_the_prompt_cache_is_as_large_as_the_engine_makes_it() -> None:
    words = option_words(SidecarSpec(name="x", model_path="/m", serves="m", port=1, hub_dir="/h"))
    assert words[words.index("--prompt-cache-size") + 1] == str(PROMPT_CACHE_SIZE)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_price_is_exactly_what_was_written(micro_usd_per_million: int) -> None:
    written = micro_usd_per_million / 10**6
    price = price_per_token(PriceSetting(prompt_per_million=written))
    whole, _, rest = price.prompt.partition(".")
    assert int(whole + rest.ljust(12, "0")) == micro_usd_per_million
    assert "e" not in price.prompt.lower()


def test_another_time_zone_of_the_budgets_restarts_the_gateway_and_another_cap_does_not(tmp_path: Path) -> None:
    def restarts_by(number: int, text: str) -> str:
        compiled = front_of(a_project(tmp_path / str(number), inventory=text))
        return next(one.inputs["listen"] for one in compiled.state.daemons if one.label.endswith("gateway"))

    usual = restarts_by(1, WITH_APIS)
    assert restarts_by(2, WITH_APIS.replace("monthly_usd: 800", "monthly_usd: 9000")) == usual
    assert restarts_by(3, WITH_APIS.replace("{monthly_usd: 800}", "{monthly_usd: 8}, timezone: Europe/Berlin")) != usual
