"""The whole way: the command line, a real SSH session by paramiko, a forwarded channel, a real agent."""

import asyncio
import json
import threading
from pathlib import Path

import asyncssh
import pytest

from fleet.cli.main import main
from fleet.node.agent.agent import Agent, listen
from fleet.testing.mac import FakeMac
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.agent import AgentConfig
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.tokens import agent_token

KEY = "a-fleet-key"


class Door(asyncssh.SSHServer):
    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        return dest_host == "127.0.0.1"


@pytest.fixture
def door(tmp_path):
    """An SSH server that only forwards: its port and its host key."""
    host, user = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    user.write_private_key(str(tmp_path / "id"))
    user.write_public_key(str(tmp_path / "authorized"))
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def open_door() -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            Door, "127.0.0.1", 0, server_host_keys=[host], authorized_client_keys=str(tmp_path / "authorized")
        )

    server = asyncio.run_coroutine_threadsafe(open_door(), loop).result(10)
    yield server.get_port(), host.export_public_key().decode().strip()
    server.close()
    loop.call_soon_threadsafe(loop.stop)


@pytest.fixture
def agent(tmp_path):
    """An agent of `mini-1` with the token that deploy would give it; its port, and its Mac."""
    listener = listen(0, patience_seconds=1)
    port, mac = listener.getsockname()[1], FakeMac()
    config = AgentConfig(
        node="mini-1",
        port=port,
        token_file="-",
        readings="macos",
        domain="system",
        launchctl="/nonexistent",
        var_dir=str(tmp_path),
        fast_seconds=0.1,
    )
    token = agent_token(Secret(KEY), "mini-1")
    agent = Agent(config, mac, SystemClock(), listener=listener, token=token, log=print)
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            agent.turn(longest_seconds=0.05)
        agent.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield port, mac, done
    done.set()
    thread.join(10)


@pytest.fixture
def project(tmp_path, monkeypatch, door, agent) -> Path:
    root = tmp_path / "project"
    (root / "inventory").mkdir(parents=True)
    (root / "fleet.key").write_text(KEY)
    (root / "fleet.key").chmod(0o600)
    node = {
        "address": "127.0.0.1",
        "ssh_port": door[0],
        "ssh_user": "op",
        "ssh_key_file": str(tmp_path / "id"),
        "host_key": " ".join(door[1].split()[:2]),
        "agent_port": agent[0],
    }
    inventory = {"all": {"vars": {"fleet_key": "file:fleet.key"}, "hosts": {"mini-1": node}}}
    (root / "inventory" / "fleet.yml").write_text(json.dumps(inventory))
    monkeypatch.chdir(root)
    return root


def status(capsys) -> tuple[int, dict]:
    with pytest.raises(SystemExit) as stop:
        main(["status", "--json", "--timeout", "10s"])
    return int(stop.value.code or 0), json.loads(capsys.readouterr().out)["rows"][0]


def test_a_node_is_seen_live_then_silent_with_what_was_seen_last(project, agent, capsys):
    code, row = status(capsys)
    assert (code, row["freshness"], row["health"], row["pressure_level"]) == (0, "live", "ok", 1)
    agent[2].set()
    while True:
        code, row = status(capsys)
        if row["reach"] == "agent_silent":
            break
    assert (code, row["freshness"], row["health"], row["chip"]) == (1, "stale", "critical", "Apple M4")
    assert row["problem"]


def test_another_host_key_is_a_row_that_says_so(project, capsys):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()
    path = project / "inventory" / "fleet.yml"
    inventory = json.loads(path.read_text())
    inventory["all"]["hosts"]["mini-1"]["host_key"] = " ".join(other[:2])
    path.write_text(json.dumps(inventory))
    code, row = status(capsys)
    assert (code, row["reach"], row["freshness"]) == (4, "unreachable", "never_seen")
    assert "key" in row["problem"]
