"""What a gateway refuses to start with, and what it does with a new configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_harness import write_config

from fleet.errors import ConfigError
from fleet.node.gateway.config import load
from fleet.node.gateway.reload import Current
from fleet.traffic.config import Listen, Route, Upstream

PIN = "sha256//" + "A" * 43 + "="


def an_upstream(**changes: Any) -> Upstream:
    values = {"name": "a", "kind": "sidecar", "url": "http://127.0.0.1:8800", "engine": "mlx_lm", "serves": "smol"}
    return Upstream(**{**values, "model": "default_model", **changes})


def refused(folder: Path, *upstreams: Upstream, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write_config(folder, *upstreams, **changes))
    assert caught.value.exit_code == 2
    return caught.value.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "magic"}, "kind 'magic'"),
        ({"engine": "mlxlm"}, "did you mean 'mlx_lm'"),
        ({"url": "127.0.0.1:8800"}, "not an address"),
        ({"url": "http://127.0.0.1:99999"}, "not an address"),
        ({"url": "http://10.0.0.1:8800"}, "refusing plain HTTP"),
        ({"url": "https://10.0.0.1:8800"}, "a sidecar is on this node"),
        ({"url": "http://127.0.0.1:8800/mod\u00e8les"}, "not an address"),
        ({"url": "http://127.0.0.1:8800/a b"}, "not an address"),
        ({"headers": {"x-a": "1\r\nx-b: 2"}}, "the header x-a must be printable"),
        ({"headers": {"x-a": "\u20ac"}}, "the header x-a must be printable"),
        ({"headers": {"x a": "1"}}, "'x a' is no header"),
        ({"headers": {"Content-Length": "0"}}, "'Content-Length' is no header"),
        ({"kind": "edge", "url": "https://10.0.0.1:8790"}, "pinned key"),
        ({"kind": "edge", "url": "https://10.0.0.1:8790", "pin": "sha1//x"}, "is not a pin"),
        ({"max_in_flight": 0}, "1 or more"),
        ({"key_file": "/nowhere/key"}, "cannot read /nowhere/key"),
    ],
)
def test_a_wrong_upstream_is_refused_with_its_reason(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    assert words in refused(tmp_path, an_upstream(**changes))


def test_two_upstreams_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "two of that name" in refused(tmp_path, an_upstream(), an_upstream())


def test_a_route_to_nowhere_is_refused(tmp_path: Path) -> None:
    assert "no upstream 'b'" in refused(tmp_path, an_upstream(), routes=(Route(name="r", upstreams=("b",)),))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "mini-1.local"])
def test_plain_http_is_spoken_on_loopback_only(tmp_path: Path, host: str) -> None:
    assert "refusing to speak plain HTTP" in refused(tmp_path, listen=Listen(host=host, port=8790))


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    assert "its key" in refused(tmp_path, listen=Listen(host="0.0.0.0", port=1, certificate_file="x"))


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "up.key"
    key.write_text("sk-x")
    key.chmod(0o644)
    assert "can be read by others" in refused(tmp_path, an_upstream(key_file=str(key)))
    key.chmod(0o600)
    assert load(write_config(tmp_path, an_upstream(key_file=str(key)))).upstream_keys["a"].reveal() == "sk-x"
    key.write_text("two\nlines")
    assert "does not hold a key" in refused(tmp_path, an_upstream(key_file=str(key)))


@pytest.mark.parametrize("text", ["", "{", '{"node": 5}', '{"node": "a", "colour": "red"}', "\xff"])
def test_a_broken_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gateway.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"gateway\.json"):
        load(path)


def test_every_served_model_is_a_route_of_its_own_name(tmp_path: Path) -> None:
    upstreams = (an_upstream(), an_upstream(name="b"), an_upstream(name="c", serves="big"))
    loaded = load(write_config(tmp_path, *upstreams, routes=(Route(name="code", upstreams=("c",)),)))
    assert {name: route.upstreams for name, route in loaded.routes.items()} == {
        "code": ("c",),
        "smol": ("a", "b"),
        "big": ("c",),
    }
    assert loaded.route("default") == loaded.route(None) == loaded.routes["code"]
    assert loaded.route("other") is None


def test_the_last_good_configuration_is_kept(tmp_path: Path) -> None:
    path = write_config(tmp_path, an_upstream())
    current = Current(path)
    good = current.loaded
    path.write_text("{")
    assert not current.reload()
    assert current.loaded is good
    assert str(current.problem).startswith("gateway.json: ")  # anybody may read it at /readyz: no folders
    write_config(tmp_path, an_upstream(serves="other"))
    assert current.reload()
    assert current.problem is None
    assert current.loaded.sha256 != good.sha256


def test_a_new_address_takes_a_restart_and_says_so(tmp_path: Path) -> None:
    current = Current(write_config(tmp_path, an_upstream()))
    write_config(tmp_path, an_upstream(), listen=Listen(host="127.0.0.1", port=2))
    assert current.reload()
    assert current.problem == "listen changed: that needs a restart"
    write_config(tmp_path, an_upstream(), admin_port=3, state_dir=str(tmp_path))
    for _ in range(2):  # what runs is what was read at the start, however often the file is read again
        assert current.reload()
        assert current.problem == "admin_port, state_dir changed: that needs a restart"


async def test_what_did_not_change_keeps_what_is_known_of_it(start: Any, mlx: Any, tmp_path: Path) -> None:
    from gateway_harness import sidecar, until

    one, two = await mlx(), await mlx()
    gateway = await start(sidecar(one, "a"), sidecar(two, "b"))
    live = gateway.gateway.upstreams.live
    await until(lambda: live["a"].readiness == live["b"].readiness == "ready")
    write_config(tmp_path, sidecar(one, "a"), sidecar(two, "b", serves="other"))
    assert gateway.current.reload()
    gateway.gateway.follow()
    after = gateway.gateway.upstreams.live
    assert after["a"] is live["a"]
    assert after["b"] is not live["b"]
    assert (await gateway.chat(model="other")).status == 200


def test_the_configuration_survives_the_way_over_the_wire(tmp_path: Path) -> None:
    upstream = an_upstream(kind="edge", url="https://mini-2:8790", pin=PIN)
    loaded = load(write_config(tmp_path, upstream))
    again = msgspec.json.decode(msgspec.json.encode(loaded.config), type=type(loaded.config))
    assert again == loaded.config
