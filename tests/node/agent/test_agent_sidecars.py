"""Sidecars: live is not ready; a server that hangs, lies or is gone is seen for what it is."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fleet.vocabulary.contracts.agent import AgentSidecar


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer(self.server.live)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(self.server.ready)

    def answer(self, status):
        if status is None:
            self.server.release.wait(20)
            return
        body = b'{"error": "generation thread died"}' if status != 200 else b'{"choices": []}'
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.live = server.ready = 200
    server.release = threading.Event()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()


def sidecar_of(agent, done):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        reading = agent.snapshot()["sidecars"][0]
        if done(reading):
            return reading
        time.sleep(0.03)
    raise AssertionError(f"never: {reading}")


def a_sidecar(port: int, engine: str = "mlx_lm") -> AgentSidecar:
    return AgentSidecar(name="chat", model="smollm2", port=port, engine=engine)


def test_a_sidecar_that_answers_a_token_is_ready(start, server):
    agent = start(sidecars=(a_sidecar(server.server_port),))
    reading = sidecar_of(agent, lambda reading: reading["ready"])
    assert reading["live"] is True
    assert reading["problem"] is None
    assert reading["probe_seconds"] >= 0


def test_before_the_first_probe_a_sidecar_is_neither_ready_nor_not(start, server):
    server.live = None
    agent = start(sidecars=(a_sidecar(server.server_port),))
    reading = agent.snapshot()["sidecars"][0]
    assert (reading["live"], reading["ready"]) == (None, None)


def test_a_live_sidecar_whose_generation_died_is_not_ready(start, server):
    server.ready = 404
    agent = start(sidecars=(a_sidecar(server.server_port),))
    reading = sidecar_of(agent, lambda reading: reading["ready"] is False)
    assert reading["live"] is True
    assert reading["problem"].startswith("HTTP 404")


def test_a_sidecar_that_says_unavailable_is_not_live(start, server):
    server.live = 503
    agent = start(sidecars=(a_sidecar(server.server_port),))
    assert sidecar_of(agent, lambda reading: reading["live"] is False)["ready"] is False


def test_a_sidecar_that_is_gone_is_not_live_and_comes_back(start, server):
    agent = start(sidecars=(a_sidecar(1),))
    assert "refused" in sidecar_of(agent, lambda reading: reading["live"] is False)["problem"].lower()


def test_a_sidecar_that_hangs_holds_nothing_up(start, server):
    server.ready = None
    agent = start(sidecars=(a_sidecar(server.server_port),))
    sidecar_of(agent, lambda reading: reading["live"])
    assert agent.get("/healthz")[0] == 200
    assert agent.snapshot()["sidecars"][0]["ready"] is None


def test_an_unknown_engine_is_a_problem_and_not_a_crash(start):
    agent = start(sidecars=(a_sidecar(1, engine="warp"),))
    assert "warp" in sidecar_of(agent, lambda reading: reading["problem"])["problem"]


def test_a_sidecar_goes_by_the_name_that_clients_know(start, server):
    sidecar = AgentSidecar(name="chat", model="/opt/fleet/models/x@1", port=server.server_port, serves="smollm2")
    assert start(sidecars=(sidecar,)).snapshot()["sidecars"][0]["model"] == "smollm2"
