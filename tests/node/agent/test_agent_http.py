"""The listener: one method, one host, one token; and no client, slow or hostile, holds the others up."""

import json
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.agent.request import Refusal, Request, check, parse_head
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.secret import Secret


def until(condition, seconds: float = 10.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it never happened")


def raw(port: int, data: bytes) -> bytes:
    """Everything that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def test_the_snapshot_is_json_of_the_contract_with_its_age(start):
    import msgspec

    status, headers, body = start().get("/v1/snapshot")
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert headers["Age"] == "0"
    snapshot = msgspec.json.decode(body, type=Snapshot)
    assert (snapshot.node, snapshot.memory.pressure_level) == ("mini-1", 1)


def test_metrics_are_text(start):
    status, headers, body = start().get("/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"fleet_memory_pressure_level 1\n" in body


def test_health_needs_no_token_and_everything_else_does(start):
    agent = start()
    assert agent.get("/healthz", token=None)[0] == 200
    for path in ("/v1/snapshot", "/metrics", "/nothing"):
        assert agent.get(path, token=None)[0] == 401
        assert agent.get(path, token="wrong")[0] == 401
    assert agent.get("/nothing")[0] == 404


def test_another_host_is_refused_even_with_the_token(start):
    agent = start()
    assert agent.get("/v1/snapshot", host="evil.example")[0] == 421
    assert agent.get("/v1/snapshot", host="127.0.0.1:1")[0] == 421
    assert agent.get("/v1/snapshot", host=f"localhost:{agent.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_only_get_is_answered(start, method):
    status, headers, _ = start().get("/v1/snapshot", method=method)
    assert status == 405
    assert "Access-Control-Allow-Origin" not in headers


def test_a_connection_is_kept_and_requests_may_be_sent_ahead(start):
    agent = start()
    one = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{agent.port}\r\n"
    answer = raw(agent.port, f"{one}\r\n{one}\r\n{one}Connection: close\r\n\r\n".encode())
    assert answer.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz HTTP/2.0\r\n\r\n", 400),
        (b"GET http://evil/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
    ],
)
def test_odd_requests_are_refused_and_the_connection_is_closed(start, data, status):
    assert raw(start().port, data).startswith(f"HTTP/1.1 {status} ".encode())


def test_slow_clients_do_not_hold_up_samples_or_others(start):
    agent = start()
    slow = [socket.create_connection(("127.0.0.1", agent.port)) for _ in range(80)]
    for connection in slow:
        connection.sendall(b"GET /v1/snap")
    before = agent.snapshot()["at_seconds"]
    assert until(lambda: agent.snapshot()["at_seconds"] > before + 0.1)
    for connection in slow:
        connection.close()
    assert agent.get("/healthz")[0] == 200


def test_a_client_that_never_reads_does_not_hold_up_others(start):
    agent = start()
    with socket.create_connection(("127.0.0.1", agent.port)) as greedy:
        greedy.settimeout(0.2)
        one = f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{agent.port}\r\nAuthorization: Bearer a-token\r\n\r\n"
        try:
            for _ in range(2000):
                greedy.sendall(one.encode())
        except OSError:
            pass
        assert agent.get("/healthz")[0] == 200


def test_a_collector_that_breaks_is_logged_once_and_once_when_it_works_again(start):
    agent = start()
    agent.mac.broken["memory"] = "host_statistics64 answered 5"
    until(lambda: agent.log)
    assert agent.get("/metrics")[0] == 200
    del agent.mac.broken["memory"]
    until(lambda: len(agent.log) > 1)
    assert agent.log == ["collector memory fails: host_statistics64 answered 5", "collector memory works again"]


def test_the_snapshot_follows_the_machine(start):
    agent = start()
    agent.mac.thermal = 3
    assert until(lambda: agent.snapshot()["thermal"]["pressure_level"] == 3)
    assert json.loads(agent.get("/v1/snapshot")[2])["thermal"]["ever_nonzero"] is True


@given(st.binary(max_size=300))
def test_no_head_raises(head):
    assert isinstance(parse_head(head), Request | Refusal)


def test_without_a_token_nothing_is_shown():
    request = parse_head(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ")
    assert isinstance(request, Request)
    for token in (None, Secret("")):
        refusal = check(request, port=1, token=token, open_paths=frozenset())
        assert refusal is not None
        assert refusal.status == 401
