"""What `fleet client config` learns of a front, and what it does with a front that is odd or away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.ask import Door
from fleet.control.actions.clientconfig import Routes, chosen, parse_routes, routes_of, write_pem
from fleet.control.inventory.project import Project
from fleet.errors import FleetError, NodeError, UsageError
from fleet.testing.inventories import inventory_of
from fleet.testing.link import FakeLink
from fleet.vocabulary.secret import Secret

LIST = {
    "data": [{"id": "token-track", "context_length": 262144}, {"id": "local"}, {"id": "odd", "context_length": "?"}]
}

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda some: st.lists(some) | st.dictionaries(st.sampled_from(["data", "id", "context_length", "x"]), some),
)


class Front(BaseHTTPRequestHandler):
    """Lists its routes to who has the key."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "Bearer k"
        body = json.dumps(LIST if known else {"error": {"message": "no"}}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def door(port: int, key: str) -> Door:
    node = inventory_of("all: {hosts: {mini-1: {ansible_host: 127.0.0.1, gateway_tls: false}}}").node("mini-1")
    return Door(node=node, host="127.0.0.1", port=port, pin=None, key=Secret(key))


def test_the_routes_come_in_the_fronts_order_and_an_unknown_context_is_absent(port: int, tmp_path: Path) -> None:
    project = Project(tmp_path, tmp_path)
    found = routes_of(door(port, "k"), link=FakeLink({}), project=project)
    assert found == Routes(names=("token-track", "local", "odd"), context_tokens={"token-track": 262144})
    with pytest.raises(NodeError, match="401") as refused:
        routes_of(door(port, "wrong"), link=FakeLink({}), project=project)
    assert "fleet deploy" in refused.value.hint


@given(st.binary() | ODD.map(lambda it: json.dumps(it).encode()))
def test_whatever_a_front_answers_is_read_without_a_failure(body: bytes) -> None:
    found = parse_routes(body)
    assert set(found.context_tokens) <= set(found.names)
    assert all(tokens > 0 for tokens in found.context_tokens.values())


def test_a_route_is_the_wanted_one_or_the_default_and_never_one_that_is_not_there() -> None:
    routes = Routes(names=("token-track", "local"))
    assert (chosen(routes, None), chosen(routes, "local")) == ("token-track", "local")
    assert chosen(Routes(), "taken at its word") == "taken at its word"
    with pytest.raises(UsageError, match="no route 'x'") as wrong:
        chosen(routes, "x")
    assert "token-track, local" in wrong.value.hint
    with pytest.raises(UsageError, match="lists no route"):
        chosen(Routes(), None)


def test_a_certificate_is_written_over_a_certificate_only(tmp_path: Path) -> None:
    file, old, new = tmp_path / "front.crt", "-----BEGIN CERTIFICATE-----\nold\n", "-----BEGIN CERTIFICATE-----\nnew\n"
    for pem in (old, new, new):
        write_pem(file, pem)
        assert file.read_text() == pem
    key = tmp_path / "gateway.key"
    key.write_text("sk-fleet-secret\n")
    with pytest.raises(UsageError, match="something else than a certificate") as refused:
        write_pem(key, new)
    assert "secret" not in refused.value.text
    assert key.read_text() == "sk-fleet-secret\n"
    with pytest.raises(FleetError, match="cannot be written"):
        write_pem(tmp_path / "none" / "front.crt", new)
