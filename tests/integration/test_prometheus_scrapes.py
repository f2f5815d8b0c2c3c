"""A real Prometheus scrapes nodes that are machines of their own, by what `fleet metrics sd` wrote; others may not."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from fleet.sim.ports import free_port
from tests.integration.edgefleet import EDGES, FRONT, EdgeFleet, edge_fleet
from tests.integration.netground import ground
from tests.integration.promql import agent_series, dashboard_queries, metric_names, rule_queries

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("prometheus")]

NODES = (FRONT, *EDGES)


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str
    log: Path

    def ask(self, path: str, **words: str) -> Any:
        """What its API says."""
        query = urllib.parse.urlencode(words)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from None

    def vector(self, query: str) -> dict[str, float]:
        """An instant vector by its node."""
        found = self.ask("query", query=query)["result"]
        return {one["metric"].get("node", ""): float(one["value"][1]) for one in found}


@pytest.fixture(scope="module")
def fleet() -> Iterator[EdgeFleet]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # so that only the modes of the files themselves keep others out
        with ground(len(NODES)) as found, edge_fleet(folder / "project", found) as fleet:
            yield fleet


@pytest.fixture(scope="module")
def written(fleet: EdgeFleet) -> str:
    """The scrape_configs that were printed; everything else is in the folder `sd` of the project."""
    return fleet.fleet("metrics", "sd", "--out", "sd").stdout


@pytest.fixture(scope="module")
def prometheus(fleet: EdgeFleet, written: str) -> Iterator[Prometheus]:
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed")
    for _ in range(3):  # something to count
        body = json.dumps({"model": "smol", "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
        status, said = fleet.get(f"{fleet.url(FRONT)}/v1/chat/completions", key=fleet.secret("gateway.key"), body=body)
        assert status == 200, said
    fleet.fleet("metrics", "rules", "--out", "fleet.rules.yml")
    config = fleet.folder / "prometheus.yml"
    head = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
    config.write_text(f"{head}rule_files: [fleet.rules.yml]\nscrape_configs:\n{written}")
    checked = subprocess.run(["promtool", "check", "config", str(config)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    port = free_port()
    log = fleet.folder / "prometheus.log"
    words = [f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
    words += [f"--storage.tsdb.path={fleet.folder}/db"]
    with log.open("wb") as file:
        process = subprocess.Popen([binary, *words], stdout=file, stderr=file)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}", log)
        until(lambda: answers(f"{running.url}/-/ready"), running)
        until(lambda: up(running) == set(NODES), running)
        until(lambda: running.vector("count by (node) (rate(fleet_in_flight[1m]))"), running)  # scraped twice
        yield running
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    """Whether it says 200; while it starts, Prometheus refuses connections and then says 503."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def up(prometheus: Prometheus) -> set[str]:
    return {node for node, value in prometheus.vector("up").items() if value == 1}


def until(ready: Callable[[], object], prometheus: Prometheus) -> None:
    ends = time.monotonic() + 60
    while not ready():
        if time.monotonic() > ends:
            raise AssertionError(prometheus.log.read_text()[-2000:])
        time.sleep(0.1)


def test_every_node_is_scraped_by_its_own_certificate_with_its_labels(prometheus: Prometheus) -> None:
    targets = prometheus.ask("targets")["activeTargets"]
    labels = {one["labels"]["node"]: {key: one["labels"][key] for key in ("job", "role")} for one in targets}
    assert labels == {
        FRONT: {"job": "fleet", "role": "front"},
        **{name: {"job": "fleet", "role": "edge"} for name in EDGES},
    }
    assert {one["scrapeUrl"].partition(":")[0] for one in targets} == {"https"}
    assert [one["lastError"] for one in targets] == ["", "", ""]


def test_agents_listen_for_their_own_machine_only(fleet: EdgeFleet, prometheus: Prometheus) -> None:
    for name in NODES:
        node = fleet.inventory.node(name)
        hosts = [fleet.places[node.name].address, *(["127.0.0.1"] if fleet.ground.apart else [])]
        for host in hosts:
            with pytest.raises(OSError), socket.create_connection((host, node.settings.agent_port), timeout=5):
                pass


@pytest.mark.parametrize("query", [*dashboard_queries(), *rule_queries()])
def test_prometheus_answers_every_query_of_dashboard_and_rules(prometheus: Prometheus, query: str) -> None:
    prometheus.ask("query", query=query)


def test_the_rules_are_evaluated_without_an_error_and_a_healthy_fleet_alerts_nobody(prometheus: Prometheus) -> None:
    def evaluated() -> list[dict[str, Any]]:
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    until(evaluated, prometheus)
    assert {rule["health"] for rule in evaluated()} == {"ok"}
    assert [alert["labels"] for alert in prometheus.ask("alerts")["alerts"] if alert["state"] == "firing"] == []


def test_what_agents_read_comes_through_their_gateways(prometheus: Prometheus) -> None:
    assert prometheus.vector("fleet_memory_pressure_level") == dict.fromkeys(NODES, 1.0)
    assert set(prometheus.vector("fleet_agent_info")) == set(NODES)
    assert prometheus.vector("up unless on (job, instance) fleet_agent_info") == {}


def test_every_series_of_dashboard_and_rules_is_one_that_gateways_or_agents_have(prometheus: Prometheus) -> None:
    """The names of those that only a Mac, or a service of launchd, has are checked without a fleet."""
    known = set(prometheus.ask("label/__name__/values")) | set(agent_series())
    asked = {name for query in (*dashboard_queries(), *rule_queries()) for name in metric_names(query)}
    assert asked - known == set()


def test_promtool_finds_nothing_wrong_with_the_pages(fleet: EdgeFleet, written: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    key = (fleet.folder / "sd" / "fleet.key").read_text()
    for name in NODES:
        status, page = fleet.get(f"{fleet.url(name)}/node/metrics", key=key)
        assert status == 200
        checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, b""), checked.stderr.decode()


def test_the_key_of_prometheus_opens_metrics_and_snapshots_only(fleet: EdgeFleet, written: str) -> None:
    key = (fleet.folder / "sd" / "fleet.key").read_text()
    url = fleet.url(EDGES[0])
    body = json.dumps({"model": "smol", "messages": []}).encode()
    assert fleet.get(f"{url}/node/snapshot", key=key)[0] == 200
    assert fleet.get(f"{url}/v1/models", key=key)[0] == 403
    assert fleet.get(f"{url}/v1/chat/completions", key=key, body=body)[0] == 403
    assert key not in written
    assert key not in {fleet.secret("fleet.key"), fleet.secret("gateway.key")}


def test_no_key_a_clients_key_and_another_host_are_refused(fleet: EdgeFleet, written: str) -> None:
    key = (fleet.folder / "sd" / "fleet.key").read_text()
    for name in NODES:
        url = f"{fleet.url(name)}/node/metrics"
        assert fleet.get(url)[0] == 401
        assert fleet.get(url, key="of-somebody-else")[0] == 401
        assert fleet.get(url, key=key, Host="rebound.example")[0] == 421
    assert fleet.get(f"{fleet.url(FRONT)}/node/metrics", key=fleet.secret("gateway.key"))[0] == 403


def test_the_targets_are_served_too_and_follow_the_inventory_until_it_is_stopped(
    fleet: EdgeFleet, written: str
) -> None:
    port = free_port()
    line = [sys.executable, "-m", "fleet", "metrics", "sd", "--out", "http", "--http", f"127.0.0.1:{port}"]
    process = subprocess.Popen(line, cwd=fleet.folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        fragment = "".join(process.stdout.readline() for _ in range(7))
        (job,) = yaml.safe_load(fragment)
        (source,) = job["http_sd_configs"]
        with urllib.request.urlopen(source["url"], timeout=20) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            assert json.loads(answer.read()) == json.loads((fleet.folder / "sd" / "fleet.json").read_text())
        config = fleet.folder / "http.yml"
        config.write_text(f"scrape_configs:\n{fragment}")
        if shutil.which("promtool"):
            subprocess.run(["promtool", "check", "config", str(config)], capture_output=True, check=True)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_another_user_reads_no_key(fleet: EdgeFleet, written: str) -> None:
    folder = fleet.folder / "sd"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"edges.pem": 0o644, "fleet.json": 0o644, "fleet.key": 0o600}
    if os.geteuid() == 0:
        for name, status in (("edges.pem", 0), ("fleet.json", 0), ("fleet.key", 1)):
            read = subprocess.run(["cat", str(folder / name)], user=65534, capture_output=True, check=False)
            assert read.returncode == status, name
        home = fleet.folder / "nodes" / EDGES[0] / "etc"
        read = subprocess.run(["cat", str(home / "agent.token")], user=65534, capture_output=True, check=False)
        assert read.returncode == 1


PAGE = """<body><script>
const urls = URLS, key = KEY, lines = [];
async function ask(url, settings) {
  try {
    const answer = await fetch(url, settings);
    lines.push(answer.type === "opaque" ? "opaque" : "READ " + (await answer.text()).slice(0, 40));
  } catch (error) { lines.push("refused"); }
}
(async () => {
  for (const url of urls) {
    await ask(url, {});
    await ask(url, {mode: "no-cors"});
    await ask(url, {headers: {Authorization: "Bearer " + key}});
  }
  document.body.textContent = "told: " + lines.join(" ") + " end";
})();
</script></body>"""


@contextmanager
def origin(page: str) -> Iterator[str]:
    """A web page of somebody else."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def test_a_page_in_a_browser_reads_nothing_even_with_the_right_key(fleet: EdgeFleet, written: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed")
    key = (fleet.folder / "sd" / "fleet.key").read_text()
    urls = [f"{fleet.url(EDGES[0])}/node/metrics", f"{fleet.url(EDGES[0])}/node/snapshot"]
    page = PAGE.replace("URLS", json.dumps(urls)).replace("KEY", json.dumps(key))
    words = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--ignore-certificate-errors",
        "--virtual-time-budget=20000",
    ]
    with origin(page) as url, TemporaryDirectory() as profile:
        shown = subprocess.run(
            [chromium, *words, f"--user-data-dir={profile}", "--dump-dom", url],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        ).stdout
    assert "told: refused opaque refused refused opaque refused end" in shown
