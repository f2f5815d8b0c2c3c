"""The listener: one method, one host, one token; and no client, slow or hostile, holds the others up."""

import json
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.agent.pages import Pages
from fleet.node.agent.request import Refusal, Request, check, parse_head
from fleet.node.agent.server import Page
from fleet.testing.clock import FakeClock
from fleet.testing.mac import FakeMac
from fleet.vocabulary.contracts.series import Series
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.secret import Secret


def until(condition, seconds: float = 60.0):
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


def test_series_are_json_of_the_contract_over_http(start):
    import msgspec

    agent = start(fast_seconds=1.0)
    agent.mac.load = 2.5
    series = until(lambda: _with_values(agent))
    assert series.node == "mini-1"
    assert set(series.values) == {"load_1m", "memory_pressure_level"}
    assert all(column[-1] is not None for column in series.values.values())
    assert series.step_seconds == 1
    status, _, body = agent.get("/v1/series?since=0&fields=load_1m&step=3600")
    assert status == 200
    assert msgspec.json.decode(body, type=Series).step_seconds == 3600


def _with_values(agent) -> Series | None:
    import msgspec

    status, headers, body = agent.get("/v1/series?since=0&fields=load_1m,memory_pressure_level")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    series = msgspec.json.decode(body, type=Series)
    return series if series.values["load_1m"] else None


def test_series_need_the_token_and_an_odd_query_is_refused_in_words(start):
    agent = start()
    assert agent.get("/v1/series", token=None)[0] == 401
    status, _, body = agent.get("/v1/series?since=yesterday")
    assert (status, body) == (400, b"since is not a number of seconds: 'yesterday'\n")
    assert agent.get("/v1/series?fields=heat")[0] == 400
    assert agent.get("/healthz")[0] == 200


def test_without_a_folder_for_its_history_the_agent_lives_and_says_so(start, tmp_path):
    agent = start(var_dir=str(tmp_path / "absent"))
    status, _, body = agent.get("/v1/series")
    assert status == 503
    assert b"the history cannot be read: unable to open" in body
    assert until(lambda: b"fleet_history_paused 1\n" in agent.get("/metrics")[2])
    assert until(lambda: any("collector history fails" in line for line in agent.log))
    assert agent.snapshot()["memory"]["pressure_level"] == 1


def test_a_broken_history_is_begun_anew_while_the_agent_runs(start, tmp_path):
    (tmp_path / "history.sqlite3").write_bytes(b"no database at all" * 300)
    agent = start()
    assert until(lambda: b"fleet_history_resets_total 1\n" in agent.get("/metrics")[2])
    assert until(lambda: agent.get("/v1/series")[0] == 200)
    assert (tmp_path / "history.sqlite3.broken").exists()


def test_a_slow_command_delays_no_sample_and_its_failure_is_on_record(start, tmp_path):
    """Real time and a real process: `ioreg` hangs, the fast tier goes on, and the deadline ends it."""
    hanging = tmp_path / "ioreg"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    agent = start(FakeMac(wanted=("ioreg",)), commands={"ioreg": str(hanging)})
    before = agent.snapshot()["at_seconds"]
    assert until(lambda: agent.snapshot()["at_seconds"] > before + 0.5)
    assert agent.snapshot()["agent"]["late_seconds"] is not None
    assert b"fleet_agent_tick_delay_seconds " in agent.get("/metrics")[2]


def test_a_wanted_command_that_fails_is_a_collector_that_fails(start):
    agent = start(FakeMac(wanted=("vm_stat",)), commands={"vm_stat": "/nonexistent/vm_stat"})
    failing = until(lambda: [item for item in agent.snapshot()["collectors"] if item["name"] == "vm_stat"])
    assert (failing[0]["ok"], failing[0]["tier"]) == (False, "slow")
    assert agent.mac.fed == {"vm_stat": ""}


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


class Rendering:
    """Pages over a snapshot that counts how often it was taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.clock = FakeClock()
        self.pages = Pages(self.clock, snapshot=self.take, series=self.nothing)

    def take(self) -> Snapshot:
        self.taken += 1
        return Snapshot(node="n", at_seconds=float(self.taken), agent_version="0", readings="linux")

    def nothing(self, query) -> Series:
        raise AssertionError(f"nobody asks for {query}")

    def body(self, path: str) -> bytes:
        page = self.pages.page(path, "")
        assert isinstance(page, Page)
        return page.body


def test_a_page_is_rendered_once_per_sample_however_many_ask():
    shown = Rendering()
    assert len({shown.body("/metrics") for _ in range(5)}) == 1
    assert shown.taken == 1
    shown.body("/v1/snapshot")
    assert shown.taken == 2, "the other page is another rendering, and only where somebody wants it"


def test_who_asks_at_a_pace_finds_the_page_ready():
    shown = Rendering()
    shown.body("/metrics")
    shown.pages.sampled()
    assert shown.taken == 2
    assert b"fleet_sample_timestamp_seconds 2" in shown.body("/metrics")
    assert shown.taken == 2, "rendered with the sample, not when it was asked for"


def test_a_page_that_nobody_asks_for_any_more_is_rendered_no_more():
    shown = Rendering()
    shown.body("/metrics")
    for _ in range(5):
        shown.pages.sampled()
    assert shown.taken == 2


def test_what_changed_between_two_samples_is_on_the_page_at_once():
    shown = Rendering()
    first = shown.body("/metrics")
    shown.pages.changed()
    assert shown.body("/metrics") != first
