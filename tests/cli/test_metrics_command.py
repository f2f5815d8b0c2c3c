"""`fleet metrics`: loopback only for the list of targets, no page of a browser, and files that are shipped whole."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from fleet.cli.main import cli
from fleet.cli.metrics import loopback_place
from fleet.cli.metricshttp import TargetServer
from fleet.control.actions.scrape import Job
from fleet.errors import InventoryError, UsageError

JOB = Job(name="fleet", reference="env:X", gateways=())


@pytest.mark.parametrize(
    "where", ["0.0.0.0:9099", "9099", "192.0.2.1:1", "mini.example:1", "127.0.0.1:", "127.0.0.1:99999"]
)
def test_the_list_of_targets_is_for_this_machine_only(where: str) -> None:
    with pytest.raises(UsageError, match="not an address of this machine alone"):
        loopback_place(where)


def test_loopback_has_many_names() -> None:
    assert [loopback_place(text) for text in ("127.0.0.1:9099", "localhost:0", "[::1]:9")] == [
        ("127.0.0.1", 9099),
        ("localhost", 0),
        ("::1", 9),
    ]


@contextmanager
def served(folder: Path, renew: Callable[[], object]) -> Iterator[Callable[..., tuple[int, str]]]:
    with TargetServer(("127.0.0.1", 0), folder, renew) as server:
        port = int(server.url_of(JOB).rpartition(":")[2].partition("/")[0])
        thread = threading.Thread(target=server._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()

        def get(path: str = "/fleet.json", *, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request(method, path, headers={"Host": host})
                answer = connection.getresponse()
                assert answer.headers.get("Access-Control-Allow-Origin") is None
                return answer.status, answer.read().decode()
            finally:
                connection.close()

        try:
            yield get
        finally:
            server._server.shutdown()
            thread.join(10)


def test_targets_are_renewed_at_every_request_and_only_under_our_own_name(tmp_path: Path) -> None:
    renewed: list[int] = []

    def renew() -> None:
        renewed.append(1)
        (tmp_path / "fleet.json").write_text(json.dumps([len(renewed)]))

    (tmp_path / "fleet.key").write_text("secret")
    with served(tmp_path, renew) as get:
        assert [get()[1], get("/fleet.json?x=1", host="localhost:9")[1]] == ["[1]", "[2]"]
        assert get(host="rebound.example")[0] == 421
        assert [get(path)[0] for path in ("/", "/fleet.key", "/../fleet.json", "/.x.json")] == [404] * 4
        assert [get(method=method)[0] for method in ("POST", "OPTIONS", "PUT")] == [501] * 3
    assert len(renewed) == 2


def test_an_inventory_that_is_wrong_now_is_an_error_so_that_prometheus_keeps_its_list(tmp_path: Path) -> None:
    def renew() -> None:
        raise InventoryError("fleet.yml is no YAML")

    (tmp_path / "fleet.json").write_text("[]")
    with served(tmp_path, renew) as get:
        assert get() == (500, "fleet.yml is no YAML\n")


@pytest.mark.parametrize(("verb", "begins"), [("rules", "# Alert rules"), ("dashboard", "{")])
def test_rules_and_dashboard_are_printed_or_written(verb: str, begins: str, tmp_path: Path) -> None:
    shown = CliRunner().invoke(cli, ["metrics", verb])
    assert shown.exit_code == 0
    assert shown.stdout.startswith(begins)
    CliRunner().invoke(cli, ["metrics", verb, "--out", str(tmp_path / "file")])
    assert (tmp_path / "file").read_text() == shown.stdout


EDGES = "- name: e\n  hosts: all\n  tasks: [{name: e, daemon: {service: gateway, role: edge, env: node}}]\n"


def test_a_fleet_of_which_no_certificate_is_known_gets_no_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("inventory", "playbooks", "secrets"):
        (tmp_path / name).mkdir()
    text = "all: {vars: {fleet_key: file:secrets/fleet.key}, hosts: {mini-1: , mini-2: }}"
    (tmp_path / "inventory" / "fleet.yml").write_text(text)
    (tmp_path / "playbooks" / "site.yml").write_text(EDGES)
    (tmp_path / "secrets" / "fleet.key").write_text("a-key")
    (tmp_path / "secrets" / "fleet.key").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(cli, ["metrics", "sd"])
    assert (told.exit_code, told.stdout) == (4, "")
    assert "mini-2: its TLS key is not pinned yet\n  hint: fleet adopt mini-2" in told.stderr
    assert "a-key" not in told.output


def test_without_a_gateway_there_is_nothing_to_scrape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("inventory", "playbooks"):
        (tmp_path / name).mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all: {hosts: {mini-1: }}")
    (tmp_path / "playbooks" / "site.yml").write_text("- {name: e, hosts: all, tasks: []}\n")
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(cli, ["metrics", "sd"])
    assert isinstance(told.exception, UsageError)
    assert "nothing to scrape" in told.exception.title
