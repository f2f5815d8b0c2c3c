"""Doctor and OpenClaw as a service: every failure mode found with its reason and its fix; no secret leaves the node."""

from __future__ import annotations

import json
import plistlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.clients.openclaw import OfferedModel, OpenClawGateway, openclaw_config, openclaw_json
from fleet.control.actions.doctor_examine import examine
from fleet.control.actions.doctor_findings import BAD, Finding, Severity, Situation
from fleet.control.actions.doctor_probe import Readings, doctor_command, parse_readings
from fleet.control.actions.openclaw_probe import Leftover, OpenClawSeen, parse_openclaw
from fleet.control.inventory import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.vocabulary.names import NodeName

URL = "https://127.0.0.1:8790/v1"
CONFIG = openclaw_config(
    OpenClawGateway(base_url=URL, models=[OfferedModel(route="m")], workspace="/w", log_file="/l", port=18789)
)
MODELS = "/opt/fleet/var/openclaw/agents/main/agent/models.json"
HEALTHY = OpenClawSeen(
    program="/opt/fleet/archives/a/bin/node",
    program_there=True,
    port=18789,
    config=CONFIG,
    variables=frozenset({"FLEET_GATEWAY_KEY", "OPENCLAW_GATEWAY_TOKEN"}),
    ready=200,
)
CRIT, WARN, UNKNOWN = Severity.CRITICAL, Severity.WARN, Severity.UNKNOWN
DEPLOY = "fleet deploy openclaw.yml --on mini-1"


def without(*path: str) -> dict[str, Any]:
    """The configuration without one of its keys."""
    found: dict[str, Any] = json.loads(json.dumps(CONFIG))
    inner = found
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return found


def with_service() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(CONFIG))
    found["models"]["providers"]["mlx"] = {"localService": {"command": "mlx_lm.server"}}
    return found


def found(seen: OpenClawSeen | None, *, settings: NodeSettings | None = None) -> list[Finding]:
    """What doctor says of OpenClaw."""
    own = settings or NodeSettings(host_key="ssh-ed25519 AAAA", owner="ops")
    node = Node(name=NodeName("mini-1"), groups=(), variables={}, settings=own, place="fleet.yml:1:1")
    readings = Readings(openclaw=seen, complete=True)
    findings = examine(Situation(node=node, readings=readings, asked_from=0, asked_to=0))
    return [one for one in findings if one.id.startswith("openclaw-")]


CASES: list[tuple[str, dict[str, Any], str, Severity, str, str | None]] = [
    ("no Node.js", {"program_there": False, "ready": 0}, "openclaw-ready", CRIT, "Node.js is not there", DEPLOY),
    (
        "a channel is broken",
        {"ready": 503, "failing": ("telegram",)},
        "openclaw-ready",
        WARN,
        "not ready (503): telegram",
        "/usr/bin/curl -s http://127.0.0.1:18789/readyz",
    ),
    (
        "another holds its port",
        {"ready": 0, "faults": frozenset({"port-taken"})},
        "openclaw-ready",
        CRIT,
        "port 18789 is held by somebody else",
        "sudo /usr/sbin/lsof -nP -iTCP:18789 -sTCP:LISTEN",
    ),
    (
        "it refuses its file",
        {"ready": 0, "faults": frozenset({"invalid-config"})},
        "openclaw-ready",
        CRIT,
        "refuses its file",
        DEPLOY,
    ),
    ("no mode, by its log", {"ready": 0, "faults": frozenset({"no-mode"})}, "openclaw-ready", CRIT, "mode", DEPLOY),
    (
        "no environment file",
        {"ready": 0, "faults": frozenset({"no-environment"})},
        "openclaw-ready",
        CRIT,
        "openclaw.env is not there",
        DEPLOY,
    ),
    (
        "nobody answers",
        {"ready": 0},
        "openclaw-ready",
        CRIT,
        "nobody answers",
        "sudo /usr/bin/tail -n 40 /opt/fleet/log/openclaw.log",
    ),
    ("not asked", {"ready": None}, "openclaw-ready", UNKNOWN, "whether OpenClaw is ready is not known", None),
    ("no mode", {"config": without("gateway", "mode")}, "openclaw-config", CRIT, "no gateway.mode", DEPLOY),
    ("a second server", {"config": with_service()}, "openclaw-config", CRIT, "provider mlx has a localService", DEPLOY),
    (
        "no provider",
        {"config": without("models", "providers", "fleet")},
        "openclaw-config",
        CRIT,
        "does not know the fleet",
        DEPLOY,
    ),
    (
        "no key",
        {"variables": frozenset({"OPENCLAW_GATEWAY_TOKEN"})},
        "openclaw-config",
        CRIT,
        "${FLEET_GATEWAY_KEY} of etc/openclaw.json is set nowhere",
        DEPLOY,
    ),
    ("no file", {"config": None}, "openclaw-config", UNKNOWN, "what etc/openclaw.json says is not known", None),
    ("names unread", {"variables": None}, "openclaw-config", UNKNOWN, "whether every variable", None),
    (
        "another address",
        {"leftovers": (Leftover(MODELS, "http://10.0.0.9/v1"),)},
        "openclaw-models",
        WARN,
        "asks http://10.0.0.9/v1, and may win",
        f"sudo /bin/mv {MODELS} {MODELS}.off",
    ),
    (
        "another key",
        {"leftovers": (Leftover(MODELS, URL, own_key=True),)},
        "openclaw-models",
        WARN,
        "has a key of its own",
        f"sudo /bin/mv {MODELS} {MODELS}.off",
    ),
]


def test_a_node_without_the_service_and_a_healthy_one_have_nothing_said_against_them() -> None:
    assert found(None) == []
    assert {one.severity for one in found(HEALTHY)} == {Severity.OK}
    assert {one.severity for one in found(replace(HEALTHY, leftovers=(Leftover(MODELS, URL),)))} == {Severity.OK}


@pytest.mark.parametrize(
    ("change", "check", "severity", "said", "command"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_failure_mode_is_found_with_its_fix(
    change: dict[str, Any], check: str, severity: Severity, said: str, command: str | None
) -> None:
    (one,) = (one for one in found(replace(HEALTHY, **change)) if one.severity is not Severity.OK)
    assert (one.id, one.severity, one.command) == (check, severity, command)
    assert said in one.seen
    assert one.command or one.severity not in BAD


@dataclass
class Mac:
    """The files of a node, and somebody at OpenClaw's port."""

    root: Path
    port: int
    said: bytes = b'{"ready":false,"failing":["telegram"]}'
    status: int = 503

    def readings(self, shell: str = "/bin/sh") -> OpenClawSeen:
        """What doctor's own script finds."""
        own = NodeSettings(
            root=str(self.root),
            owner="ops",
            home=str(self.root / "home"),
            daemons_dir=str(self.root / "LaunchDaemons"),
            commands=dict.fromkeys(
                ("launchctl", "lsof", "netstat", "sysctl", "dscl", "defaults", "pmset"), "/bin/true"
            ),
        )
        node = Node(name=NodeName("n"), groups=(), variables={}, settings=own, place="f:1:1")
        script = doctor_command(node)
        ran = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=False, timeout=100)
        assert "very-secret" not in ran.stdout
        seen = parse_readings(ran.stdout, root=str(self.root)).openclaw
        assert seen is not None
        return seen


@pytest.fixture
def mac(tmp_path: Path) -> Iterator[Mac]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(made.status)
            self.end_headers()
            self.wfile.write(made.said)

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    made = Mac(tmp_path, server.server_port)
    agent = tmp_path / "var/openclaw/agents/main/agent"
    for folder in (agent, tmp_path / "etc", tmp_path / "log", tmp_path / "LaunchDaemons"):
        folder.mkdir(parents=True)
    words = ["/bin/sh", f"--env-file={tmp_path}/etc/openclaw.env", "/x/index.js", "gateway", "--port", str(made.port)]
    state = {"OPENCLAW_STATE_DIR": str(tmp_path / "var/openclaw"), "TZ": "UTC"}
    plist = {"Label": "org.fleet-macs.openclaw", "ProgramArguments": words, "EnvironmentVariables": state}
    (tmp_path / "LaunchDaemons/org.fleet-macs.openclaw.plist").write_bytes(plistlib.dumps(plist))
    (tmp_path / "etc/openclaw.json").write_bytes(openclaw_json(CONFIG))
    (tmp_path / "etc/openclaw.env").write_text("FLEET_GATEWAY_KEY='very-secret'\n")
    (tmp_path / "log/openclaw.log").write_text(
        "T Gateway failed to start: Invalid config at /x\n"
        "T [gateway] loading configuration…\n"
        "T somebody said: Gateway failed to start: Invalid config, very-secret\n"
        "T Port 18789 is already in use.\n"
    )
    own = {"fleet": {"baseUrl": "http://old/v1", "apiKey": "very-secret"}, "x": {"baseUrl": "http://x", "apiKey": "y"}}
    (agent / "models.json").write_text(json.dumps({"providers": own}, indent=2))
    yield made
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="no curl here")
def test_the_script_tells_what_the_files_say_and_no_secret(mac: Mac) -> None:
    seen = mac.readings()
    assert (seen.program, seen.program_there, seen.port) == ("/bin/sh", True, mac.port)
    assert seen.config == json.loads(openclaw_json(CONFIG))
    assert seen.variables == {"FLEET_GATEWAY_KEY"}
    assert seen.told == {"OPENCLAW_STATE_DIR", "TZ"}
    assert (seen.ready, seen.failing) == (503, ("telegram",))
    assert seen.faults == {"port-taken"}
    path = mac.root / "var/openclaw/agents/main/agent/models.json"
    assert seen.leftovers == (Leftover(str(path), "http://old/v1", own_key=True),)


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="no curl here")
def test_the_script_tells_of_what_is_not_there(mac: Mac) -> None:
    for name in ("etc/openclaw.env", "log/openclaw.log", "etc/openclaw.json"):
        (mac.root / name).unlink()
    mac.status, mac.said = 200, b"{}"
    seen = mac.readings()
    assert (seen.config, seen.variables, seen.ready, seen.faults) == (None, None, 200, frozenset())


@given(st.dictionaries(st.sampled_from(["plist", "config", "env", "runtime", "ready", "log", "models"]), st.text()))
def test_odd_text_is_unknown_and_never_a_crash(said: dict[str, str]) -> None:
    blocks = {f"openclaw.{name}": text for name, text in said.items()}
    seen = parse_openclaw(blocks, blocks)
    assert (seen is None) == ("plist" not in said)
    found(seen)
