"""What the inventory says about health reaches the gateways; secrets reach them as files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from desired_kit import INVENTORY, SECRETS, a_project

from fleet.control.desired import Compiled
from fleet.control.desired.lint import lint
from fleet.control.desired.watchfile import wellness_of
from fleet.control.inventory.watching import HealthRoutingSetting
from fleet.errors import SupplyError
from fleet.traffic.config import FleetWatch, GatewayConfig, Power, Wellness
from fleet.vocabulary.contracts.desired import File
from fleet.vocabulary.secret import Secret

HOOK = Secret("https://hooks.example.com/T0/a-secret-path")
TOLD = """\
        webhook: file:secrets/hook.url
        ping_url: file:secrets/ping.url
        ping_every: 30s
        power_hook: {argv: [/opt/power, "{node}"], after: 15m}
"""
WITH_WATCH = INVENTORY.replace("        routes: {code: [smollm2]}\n", "        routes: {code: [smollm2]}\n" + TOLD)
SECOND_FRONT = WITH_WATCH.replace(
    "        front-1:\n",
    "        front-2: {ansible_host: 192.0.2.2, gateway_bind: 0.0.0.0, ansible_port: 2222}\n        front-1:\n",
)


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECRETS, "file:secrets/hook.url", HOOK)  # type: ignore[arg-type]
    monkeypatch.setitem(SECRETS, "file:secrets/ping.url", Secret("https://ping.example/uuid\n"))  # type: ignore[arg-type]


def files_of(compiled: Compiled) -> dict[str, File]:
    return {one.path.rpartition("/")[2]: one for one in compiled.state.items if isinstance(one, File)}


def config_of(compiled: Compiled) -> GatewayConfig:
    blob = files_of(compiled)["gateway.json"].blob
    return msgspec.json.decode(compiled.contents[blob.digest], type=GatewayConfig)


def watch_of(compiled: Compiled) -> FleetWatch:
    watch = config_of(compiled).watch
    assert watch is not None
    return watch


def test_a_front_watches_every_node_over_its_gateway_and_its_ssh_port(tmp_path: Path) -> None:
    watch = watch_of(a_project(tmp_path, inventory=WITH_WATCH).one("front-1"))
    assert [(one.node, one.url, one.ssh_host, one.ssh_port) for one in watch.nodes] == [
        ("front-1", "https://front.example:8790", "front.example", 22),
        ("mini-1", "https://192.0.2.11:8790", "192.0.2.11", 22),
        ("mini-2", "https://192.0.2.12:8790", "192.0.2.12", 22),
    ]
    assert all(one.pin and one.key_file == "/opt/fleet/etc/fleet.key" for one in watch.nodes)
    assert watch.ping_seconds == 30
    assert watch.power == Power(argv=("/opt/power", "{node}"), after_seconds=900)
    assert watch.peers == ()


def test_an_edge_watches_nobody(tmp_path: Path) -> None:
    kit = a_project(tmp_path, inventory=WITH_WATCH)
    assert config_of(kit.one("mini-1")).watch is None
    assert "webhook.url" not in files_of(kit.one("mini-1"))


def test_fronts_watch_one_another_once_their_keys_are_pinned(tmp_path: Path) -> None:
    unpinned = watch_of(a_project(tmp_path / "a", inventory=SECOND_FRONT).one("front-1"))
    assert unpinned.peers == ()
    assert next(one for one in unpinned.nodes if one.node == "front-2").url is None
    pinned = SECOND_FRONT.replace("ansible_port: 2222", "ansible_port: 2222, edge_key: sha256//" + "C" * 43 + "=")
    watch = watch_of(a_project(tmp_path / "b", inventory=pinned).one("front-1"))
    assert [(one.node, one.url, one.pin) for one in watch.peers] == [
        ("front-2", "https://192.0.2.2:8790", "sha256//" + "C" * 43 + "=")
    ]
    assert next(one.ssh_port for one in watch.nodes if one.node == "front-2") == 2222


def test_the_addresses_are_secret_files_of_the_front(tmp_path: Path) -> None:
    front = a_project(tmp_path, inventory=WITH_WATCH).one("front-1")
    watch, files = watch_of(front), files_of(front)
    assert (watch.webhook_file, watch.ping_file) == ("/opt/fleet/etc/webhook.url", "/opt/fleet/etc/ping.url")
    for name, text in (("webhook.url", HOOK.reveal()), ("ping.url", "https://ping.example/uuid")):
        assert files[name].mode == 0o600
        assert front.secrets[files[name].blob.digest]().reveal() == text
    gateway = next(one for one in front.state.daemons if one.service == "gateway")
    assert "/opt/fleet/etc/webhook.url" in gateway.reload
    assert HOOK.reveal() not in b"".join(front.contents.values()).decode()


@pytest.mark.parametrize("text", ["http://hooks.example.com/x", "a-host.example.org/x", "https://", "https://a b", ""])
def test_what_is_no_address_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setitem(SECRETS, "file:secrets/hook.url", Secret(text))  # type: ignore[arg-type]
    with pytest.raises(SupplyError) as caught:
        a_project(tmp_path, inventory=WITH_WATCH).one("front-1")
    assert "webhook" in caught.value.text
    assert text in ("", "https://") or text not in caught.value.text


def test_a_watch_that_is_off_leaves_no_trace(tmp_path: Path) -> None:
    off = WITH_WATCH.replace(TOLD, TOLD + "        front_watch: false\n")
    front = a_project(tmp_path, inventory=off).one("front-1")
    assert config_of(front).watch is None
    assert "webhook.url" not in files_of(front)


def test_lint_knows_the_addresses_only_by_their_references(tmp_path: Path) -> None:
    kit = a_project(tmp_path, inventory=WITH_WATCH)
    found = lint(kit.inventory, kit.playbook, project=kit.project, facts={}).findings
    assert [one for one in found if one.level == "error"] == []


def test_thresholds_of_routing_reach_edges_and_fronts(tmp_path: Path) -> None:
    kit = a_project(
        tmp_path,
        inventory=INVENTORY.replace(
            "    model: smollm2\n", "    model: smollm2\n    health_routing: {thermal_less: 2}\n"
        ),
    )
    for name in ("front-1", "mini-1"):
        assert config_of(kit.one(name)).wellness == Wellness(thermal_less_level=2)


def test_zero_means_that_a_reading_is_not_looked_at() -> None:
    off = wellness_of(
        HealthRoutingSetting(pace_less=0, headroom_less="0", swapout_none=0, every="5s", headroom_none="1 MiB")
    )
    assert off == Wellness(
        pace_less_ratio=None,
        headroom_less_bytes=None,
        swapout_none_bytes_per_second=None,
        every_seconds=5,
        headroom_none_bytes=1024**2,
    )
    assert wellness_of(HealthRoutingSetting()) == Wellness()
