"""Where a question, and the key that goes with it, is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fleet.control.actions.ask import Door, ask
from fleet.control.inventory.project import Project
from fleet.testing.inventories import inventory_of
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.secret import Secret

CHUNK = {"choices": [{"delta": {"content": "Paris"}, "finish_reason": "stop"}]}


class Gateway(BaseHTTPRequestHandler):
    """Answers every question in the same way."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(CHUNK).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_without_tls_the_key_goes_through_ssh_and_never_over_the_network(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def straight(*_: object, **__: object) -> None:
        raise AssertionError("the key went over the network in clear")

    monkeypatch.setattr("fleet.control.actions.ask.https_pinned", straight)
    node = inventory_of("all: {hosts: {mini-1: {ansible_host: 192.0.2.1, gateway_tls: false}}}").node("mini-1")
    door = Door(node=node, host="192.0.2.1", port=port, pin=None, key=Secret("k"))
    link = FakeLink({"mini-1": FakeSession({}, node="mini-1")})
    said: list[str] = []
    ask(door, "?", model="m", link=link, project=Project(tmp_path, tmp_path), emit=said.append)
    assert (said, link.connected) == (["Paris"], ["mini-1"])
