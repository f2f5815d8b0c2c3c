"""Nodes with real agents behind a link that opens loopback sockets instead of SSH channels."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loopbacklink import LoopbackLink

from fleet.node.agent.agent import Agent, listen
from fleet.testing.mac import FakeMac
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.agent import AgentConfig
from fleet.vocabulary.secret import Secret


@pytest.fixture
def link() -> Iterator[LoopbackLink]:
    link = LoopbackLink()
    yield link
    link.release.set()


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts an agent over a FakeMac; its port."""
    stops: list[Callable[[], None]] = []

    def go(name: str = "mini-1", mac: FakeMac | None = None) -> int:
        listener = listen(0, patience_seconds=1)
        port = listener.getsockname()[1]
        config = AgentConfig(
            node=name,
            port=port,
            token_file=str(tmp_path / "token"),
            readings="macos",
            domain="system",
            launchctl="/nonexistent",
            var_dir=str(tmp_path),
        )
        agent = Agent(
            config, mac or FakeMac(), SystemClock(), listener=listener, token=Secret(f"token of {name}"), log=print
        )

        def run() -> None:
            while not agent._stopping:
                agent.turn(longest_seconds=0.05)
            agent.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        stops.append(lambda: (agent.stop(), thread.join(10)))
        return port

    yield go
    for stop in stops:
        stop()


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], tuple[int, list[bytes]]]]:
    """A listener that answers every request the same; its port, and what it was asked."""
    listeners = []

    def go(answer: bytes) -> tuple[int, list[bytes]]:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        asked: list[bytes] = []

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                asked.append(connection.recv(65536))
                connection.sendall(answer)
                connection.close()

        threading.Thread(target=run, daemon=True).start()
        return listener.getsockname()[1], asked

    yield go
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
