"""A front and two edges as deploy would leave them: real gateways and agents over recorded Macs, scripted models."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fleet.control.actions.adopt_install import certificate_config
from fleet.control.desired.gatewayfile import gateway_config, gateway_json
from fleet.control.desired.keys import key_ring
from fleet.control.desired.roster import Roster, Sidecar
from fleet.control.inventory import Inventory, find_project, load_inventory
from fleet.control.inventory.project import Project
from fleet.control.supply.secrets import resolve_secret
from fleet.sim.ports import free_ports
from fleet.vocabulary.contracts.agent import AgentConfig, AgentSidecar
from fleet.vocabulary.names import GatewayRole, NodeName
from fleet.vocabulary.pins import pin_of
from fleet.vocabulary.tokens import agent_token
from tests.integration.netground import Ground, Place

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests" / "samples"
FRONT, EDGES = "front-1", ("mini-1", "mini-2")
PLAYBOOK = """\
- name: edges
  hosts: mlx
  tasks: [{name: edge, daemon: {service: gateway, role: edge, env: node}}]
- name: front
  hosts: front
  tasks: [{name: front, daemon: {service: gateway, role: front, env: node}}]
"""
SYSCTL = """\
hw.memsize: 34359738368
kern.memorystatus_vm_pressure_level: 1
kern.memorystatus_level: 71
iogpu.wired_limit_mb: 24576
vm.swapusage: total = 1024.00M  used = 12.00M  free = 1012.00M  (encrypted)
vm.loadavg: { 1.00 1.00 1.00 }
machdep.cpu.brand_string: Apple M4
kern.osproductversion: 26.1
"""
SIDECAR = """\
import http.server, json, sys

class Sidecar(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words): pass
    def send(self, data, kind="application/json"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.send(json.dumps({"status": "ok", "object": "list", "data": [{"id": "smol", "object": "model"}]}).encode())
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
        top = {"id": "c", "created": 7, "model": "smol"}
        if not asked.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "a b c d"}, "finish_reason": "length"}
            self.send(json.dumps({**top, "object": "chat.completion", "choices": [choice], "usage": usage}).encode())
            return
        parts = [({"role": "assistant", "content": word}, None) for word in "abcd"] + [({}, "stop")]
        lines = [{**top, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": d, "finish_reason": f}]}
                 for d, f in parts] + [{**top, "object": "chat.completion.chunk", "choices": [], "usage": usage}]
        text = "".join(f"data: {json.dumps(line)}\\n\\n" for line in lines) + "data: [DONE]\\n\\n"
        self.send(text.encode(), "text/event-stream")

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Sidecar).serve_forever()
"""


@dataclass
class EdgeFleet:
    """The running fleet and its project folder."""

    folder: Path
    ground: Ground
    inventory: Inventory
    project: Project
    places: Mapping[NodeName, Place]
    errors: list[Path] = field(default_factory=list)

    def fleet(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command in the project."""
        line = [sys.executable, "-m", "fleet", *words]
        answer = subprocess.run(line, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)
        assert answer.returncode == expect, answer.stdout + answer.stderr
        return answer

    def secret(self, name: str) -> str:
        """A secret of the project."""
        return (self.folder / "secrets" / name).read_text().strip()

    def url(self, node: str) -> str:
        """Where its gateway is."""
        settings = self.inventory.node(node).settings
        return f"https://{self.places[NodeName(node)].address}:{settings.gateway_port}"

    def get(self, url: str, *, key: str = "", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of a request that trusts the certificates of this fleet only."""
        shown = {"Authorization": f"Bearer {key}"} if key else {}
        if body is not None:
            shown["Content-Type"] = "application/json"
        request = urllib.request.Request(url, headers={**shown, **headers}, data=body)
        trust = ssl.create_default_context(cafile=self.folder / "all.pem")
        try:
            with urllib.request.urlopen(request, context=trust, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@contextmanager
def edge_fleet(folder: Path, ground: Ground) -> Iterator[EdgeFleet]:
    """A front and two edges, up and ready."""
    names = (FRONT, *EDGES)
    places = {NodeName(name): place for name, place in zip(names, ground.places, strict=True)}
    _write_project(folder, places)
    project = find_project(str(folder / "inventory" / "fleet.yml"))
    for name in names:
        _make_key(folder, load_inventory(project).node(name).name, project)
    inventory = load_inventory(project)
    fleet = EdgeFleet(folder, ground, inventory, project, places)
    certificates = [(_root(folder, name) / "etc" / "edge.crt").read_text() for name in names]
    (folder / "all.pem").write_text("".join(certificates))
    _configure(fleet)
    with ExitStack() as stack:
        for name in names:
            _start(fleet, NodeName(name), stack)
        _wait(fleet)
        yield fleet


def _root(folder: Path, name: str) -> Path:
    return folder / "nodes" / name


def _write_project(folder: Path, places: Mapping[NodeName, Place]) -> None:
    ports = free_ports()
    hosts = {
        str(name): {
            "address": place.address,
            "gateway_bind": place.address,
            "root": str(_root(folder, name)),
            "gateway_port": next(ports),
            "gateway_admin_port": next(ports),
            "agent_port": next(ports),
            "sidecar_port": next(ports),
            "readings": f"file:{_root(folder, name)}/readings",
        }
        for name, place in places.items()
    }
    shared = {"fleet_key": "file:secrets/fleet.key", "gateway_key": "file:secrets/gateway.key", "secret_salt": "00ff"}
    children = {"front": {"hosts": {FRONT: hosts[FRONT]}}, "mlx": {"hosts": {name: hosts[name] for name in EDGES}}}
    for kind in ("inventory", "playbooks", "secrets"):
        (folder / kind).mkdir(parents=True)
    inventory = {"all": {"vars": shared, "children": children}}
    (folder / "inventory" / "fleet.yml").write_bytes(msgspec.json.encode(inventory))
    (folder / "playbooks" / "site.yml").write_text(PLAYBOOK)
    for name in ("fleet", "gateway"):
        path = folder / "secrets" / f"{name}.key"
        path.write_text(f"the-{name}-key-of-this-test\n")
        path.chmod(0o600)


def _make_key(folder: Path, name: NodeName, project: Project) -> None:
    """Key and certificate as adopt makes them, and the pin in the inventory."""
    etc = _root(folder, name) / "etc"
    etc.mkdir(parents=True)
    (etc / "edge.cnf").write_text(certificate_config(load_inventory(project).node(name)))
    make = ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(etc / "edge.key"))
    sign = ("openssl", "req", "-new", "-x509", "-sha256", "-days", "3650", "-key", str(etc / "edge.key"))
    subprocess.run(make, check=True, capture_output=True)
    files = ("-config", str(etc / "edge.cnf"), "-out", str(etc / "edge.crt"))
    subprocess.run([*sign, *files], check=True, capture_output=True)
    path = folder / "inventory" / "fleet.yml"
    data = msgspec.json.decode(path.read_bytes())
    for group in data["all"]["children"].values():
        if name in group["hosts"]:
            group["hosts"][name]["edge_key"] = pin_of(ssl.PEM_cert_to_DER_cert((etc / "edge.crt").read_text()))
    path.write_bytes(msgspec.json.encode(data))


def _configure(fleet: EdgeFleet) -> None:
    secrets = {f"file:secrets/{name}.key": resolve_secret(f"file:secrets/{name}.key", fleet.project)
               for name in ("fleet", "gateway")}  # fmt: skip
    lists = {}
    for name, node in fleet.inventory.nodes.items():
        role = GatewayRole.FRONT if name == FRONT else GatewayRole.EDGE
        car = Sidecar(
            name="smol", env="mlx", model="smol", serves="smol", engine="mlx_lm", place="", task="smol",
            port=node.settings.sidecar_port, context_tokens=8192, kv_reserve_bytes=2**30,
        )  # fmt: skip
        cars = () if name == FRONT else (car,)
        lists[name] = Roster(node=node, layout=node.settings.layout(), role=role, sidecars=cars)
    for name, own in lists.items():
        root, settings = _root(fleet.folder, name), own.node.settings
        config = gateway_config(own, lists, role=own.role or GatewayRole.EDGE, manifests={}, agent=True)
        for folder in ("var/gateway", "log", "readings"):
            (root / folder).mkdir(parents=True)
        token = agent_token(secrets["file:secrets/fleet.key"], name).reveal()
        agent = AgentConfig(
            node=name, port=settings.agent_port, token_file=str(root / "etc/agent.token"), readings=settings.readings,
            domain="system", launchctl="/nonexistent", var_dir=str(root / "var"), fast_seconds=1.0,
            sidecars=tuple(AgentSidecar(name=one.service, model=one.asked, port=one.port) for one in own.sidecars),
        )  # fmt: skip
        for file, text in (
            ("gateway.json", gateway_json(config)),
            ("keys.json", key_ring(own, secrets, agent=True).make().reveal().encode()),
            ("agent.json", msgspec.json.encode(agent)),
            ("agent.token", token.encode()),
            ("fleet.key", secrets["file:secrets/fleet.key"].reveal().encode()),
        ):
            (root / "etc" / file).write_bytes(text)
            (root / "etc" / file).chmod(0o600)
        (root / "readings" / "sysctl.txt").write_text(SYSCTL)
        (root / "readings" / "vm_stat.txt").write_text((SAMPLES / "memory" / "vm_stat-m5-real.txt").read_text())


def _start(fleet: EdgeFleet, name: NodeName, stack: ExitStack) -> None:
    root, place = _root(fleet.folder, name), fleet.places[name]
    port = str(fleet.inventory.node(name).settings.sidecar_port)
    lines = {
        "gateway": ("-m", "fleet.node.gateway", "--config", str(root / "etc/gateway.json")),
        "agent": ("-m", "fleet.node.agent", "--config", str(root / "etc/agent.json")),
        "sidecar": ("-c", SIDECAR, port),
    }
    for what, words in lines.items():
        if what == "sidecar" and name == FRONT:
            continue
        path = root / f"{what}.err"
        fleet.errors.append(path)
        with path.open("wb") as errors:
            process = place.run([sys.executable, *words], cwd=ROOT, stdout=errors, stderr=errors)
        stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(fleet: EdgeFleet, *, within_seconds: float = 60.0) -> None:
    """Until all are ready, and one answer of each went through the front."""
    ends = time.monotonic() + within_seconds
    for name in (*EDGES, FRONT):
        while True:
            try:
                if fleet.get(f"{fleet.url(name)}/readyz")[0] == 200:
                    break
            except OSError:
                pass
            said = "\n".join(path.read_text()[-2000:] for path in fleet.errors if path.exists())
            assert time.monotonic() < ends, f"{name} is not ready\n{said}"
            time.sleep(0.1)
