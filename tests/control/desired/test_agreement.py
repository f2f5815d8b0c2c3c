"""What compile writes is what sync, gateway and agent take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from desired_kit import INVENTORY, a_project

from fleet.control.desired import Compiled
from fleet.node.agent.setup import load_config, load_token
from fleet.node.gateway.config import load
from fleet.node.sync.safety import check_state
from fleet.vocabulary.contracts.desired import File
from fleet.vocabulary.names import NodeName


def on_disk(compiled: Compiled) -> Path:
    """The files of a state, written where they say; the folder etc/."""
    for item in compiled.state.items:
        if isinstance(item, File):
            path = Path(item.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            secret = compiled.secrets.get(item.blob.digest)
            path.write_bytes(secret().reveal().encode() if secret else compiled.contents[item.blob.digest])
            path.chmod(item.mode)
    return Path(compiled.state.layout.etc("x")).parent


@pytest.mark.parametrize("name", ["front-1", "mini-1"])
def test_sync_gateway_and_agent_take_what_compile_writes(tmp_path: Path, name: str) -> None:
    text = INVENTORY.replace("model: smollm2", f"model: smollm2\n    root: {tmp_path}/node")
    compiled = a_project(tmp_path / "project", inventory=text).compile()[NodeName(name)]
    check_state(SimpleNamespace(layout=compiled.state.layout), compiled.state)  # type: ignore[arg-type]
    etc = on_disk(compiled)
    loaded = load(etc / "gateway.json")
    assert loaded.config.node == name
    assert set(loaded.routes) == ({"code", "smollm2"} if name == "front-1" else {"smollm2"})
    agent = load_config(etc / "agent.json")
    assert load_token(Path(agent.token_file)) == load_token(Path(loaded.config.agent_token_file or ""))
