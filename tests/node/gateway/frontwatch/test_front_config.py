"""A watch that cannot be is refused as a whole, and no secret address is in the message."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_harness import write_config

from fleet.errors import ConfigError
from fleet.node.gateway.config import load
from fleet.traffic.config import FleetWatch, Peer, WatchedNode
from fleet.vocabulary.names import GatewayRole

PIN = "sha256//" + "A" * 43 + "="


def written(folder: Path, address: str, *, mode: int = 0o600, **watch: object) -> Path:
    (folder / "webhook.url").write_text(address)
    (folder / "webhook.url").chmod(mode)
    settings = {"webhook_file": str(folder / "webhook.url"), **watch}
    return write_config(folder, role=GatewayRole.FRONT, watch=FleetWatch(**settings))  # type: ignore[arg-type]


def test_the_addresses_are_read_and_show_nowhere(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, "https://hooks.example.com/T0/secret\n"))
    assert loaded.webhook is not None
    assert loaded.webhook.reveal() == "https://hooks.example.com/T0/secret"
    assert loaded.ping is None
    assert "T0" not in repr(loaded)


@pytest.mark.parametrize(
    ("address", "mode", "said"),
    [
        ("http://hooks.example.com/T0/secret", 0o600, "does not hold an address that may be asked"),
        ("hooks/T0/secret", 0o600, "does not hold an address that may be asked"),
        ("https://[T0/secret", 0o600, "does not hold an address that may be asked"),
        ("https://hooks.example.com/T0/secret", 0o644, "can be read by others"),
        ("", 0o600, "does not hold a key"),
    ],
)
def test_what_is_no_address_or_no_secret_is_refused(tmp_path: Path, address: str, mode: int, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, address, mode=mode))
    assert said in caught.value.text
    assert "T0" not in caught.value.text


def test_a_gateway_whose_key_is_not_pinned_is_not_watched_over_tls(tmp_path: Path) -> None:
    for watch in (
        {"nodes": (WatchedNode(node="mini-1", url="https://192.0.2.1:8790"),)},
        {"peers": (Peer(node="front-2", url="https://192.0.2.2:8790"),)},
        {"peers": (Peer(node="front-2", url="http://192.0.2.2:8790", pin=PIN),)},
    ):
        with pytest.raises(ConfigError, match=r"pinned key|plain HTTP"):
            load(written(tmp_path, "https://hooks.example.com/x", **watch))
