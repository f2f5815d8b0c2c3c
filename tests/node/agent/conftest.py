"""An agent on a real port, in a thread of the test."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fleet.node.agent.agent import Agent, listen
from fleet.testing.mac import FakeMac
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.agent import AgentConfig
from fleet.vocabulary.secret import Secret

TOKEN = "a-token"


@dataclass
class RunningAgent:
    port: int
    agent: Agent
    mac: FakeMac
    log: list[str] = field(default_factory=list)

    def get(self, path: str, *, token: str | None = TOKEN, host: str | None = None, method: str = "GET"):
        """Status, headers and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Host": host or f"127.0.0.1:{self.port}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def snapshot(self):
        return json.loads(self.get("/v1/snapshot")[2])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningAgent]]:
    """Starts an agent with the given changes to its configuration."""
    stops: list[Callable[[], None]] = []

    def go(mac: FakeMac | None = None, **changes) -> RunningAgent:
        mac = mac or FakeMac()
        listener = listen(0, patience_seconds=1)
        port = listener.getsockname()[1]
        settings = {
            "node": "mini-1",
            "port": port,
            "token_file": str(tmp_path / "token"),
            "readings": "macos",
            "domain": "system",
            "launchctl": "/nonexistent/launchctl",
            "var_dir": str(tmp_path),
            "fast_seconds": 0.05,
            "slow_seconds": 0.1,
        }
        log: list[str] = []
        config = AgentConfig(**{**settings, **changes})
        agent = Agent(config, mac, SystemClock(), listener=listener, token=Secret(TOKEN), log=log.append)

        def run() -> None:
            try:
                while not agent._stopping:
                    agent.turn(longest_seconds=0.05)
            finally:
                agent.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def stop() -> None:
            agent.stop()
            thread.join(10)

        stops.append(stop)
        return RunningAgent(port, agent, mac, log)

    yield go
    for stop in stops:
        stop()
