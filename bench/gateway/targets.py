"""What is compared: how each target is started, where it listens, how it is asked."""

from __future__ import annotations

import hashlib
import secrets
import socket
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.gateway.cases import ALL, CHAT, MESSAGES, RESPONSES, STREAM_200, UNARY_C1, UNARY_C64, Case, Dialect
from bench.gateway.kit import HERE, PORTKEY, ROOT, python
from fleet.traffic.config import GatewayConfig, Listen, Price, Route, Upstream
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.traffic.policy import Policy, Scanning, TrackTerms
from fleet.vocabulary.names import GatewayRole, Track
from fleet.vocabulary.pins import pin_of

MODEL = "mock"
_UNBOUNDED = 100_000
_TRANSLATED_CASES = (UNARY_C1, STREAM_200)
_TWO_HOP_CASES = (UNARY_C1, UNARY_C64, STREAM_200)


@dataclass(frozen=True)
class Program:
    """A process to run, and a door of it that answers 200 when it is up."""

    command: tuple[str, ...]
    port: int
    door: str
    env: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    boot_seconds: float = 30
    tls: bool = False


@dataclass(frozen=True)
class Target:
    """Programs, the last of which is asked; none = the mock itself.

    `slow` ones run the streams once. `extra` ones are for information and run once in all.
    """

    name: str
    programs: tuple[Program, ...] = ()
    headers: tuple[str, ...] = ()
    dialect: Dialect = CHAT
    cases: tuple[Case, ...] = ALL
    slow: bool = False
    extra: bool = False


@dataclass(frozen=True)
class Stage:
    """What the targets of one run share: a folder for their files, the mock's port, a key for clients."""

    folder: Path
    mock_port: int
    key: str

    @property
    def mock_url(self) -> str:
        """Where the mock answers."""
        return f"http://127.0.0.1:{self.mock_port}"

    @property
    def bearer(self) -> str:
        """How a client shows the key."""
        return f"Authorization: Bearer {self.key}"


def new_stage(folder: Path) -> Stage:
    """An empty one."""
    folder.mkdir(parents=True, exist_ok=True)
    return Stage(folder=folder, mock_port=free_port(), key="sk-" + secrets.token_hex(24))


def free_port() -> int:
    """A port of the loopback that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def targets(stage: Stage, *, peers: bool) -> tuple[Target, ...]:
    """In the order in which a round runs them."""
    front = _fleet(stage, "fleet")
    found: tuple[Target, ...] = (
        Target("direct"),
        _bare(stage),
        Target("fleet", (front,), (stage.bearer,)),
        Target("fleet_edge", _front_and_edge(stage), (stage.bearer,), cases=_TWO_HOP_CASES, extra=True),
        Target("fleet_money", (_paid(stage),), (stage.bearer,), cases=_TWO_HOP_CASES, extra=True),
        Target("fleet_messages", (front,), (stage.bearer,), MESSAGES, _TRANSLATED_CASES, extra=True),
        Target("fleet_responses", (front,), (stage.bearer,), RESPONSES, _TRANSLATED_CASES, extra=True),
    )
    return (*found, _portkey(stage), _litellm(stage)) if peers else found


def _bare(stage: Stage) -> Target:
    port = free_port()
    env = {"PORT": str(port), "UPSTREAM": stage.mock_url}
    command = (str(python("probe")), str(HERE / "probes/p_aiohttp.py"))
    return Target("p_aiohttp", (Program(command, port, "/healthz", env),))


def _paid(stage: Stage) -> Program:
    """The same with money and policy on: every request is scanned, reserved for on the disk, settled and booked."""
    for old in stage.folder.glob("ledger.sqlite*"):
        old.unlink()
    policy = Policy(
        ledger_file=str(stage.folder / "ledger.sqlite"),
        tracks={"token": TrackTerms(monthly_usd="1000000", monthly_tokens=10**15)},
        scanning=Scanning(scan="all"),
    )
    upstream = Upstream(
        name=MODEL,
        kind="api",
        url=stage.mock_url,
        engine="openai_compatible",
        serves=MODEL,
        model=MODEL,
        max_in_flight=_UNBOUNDED,
        price=Price(prompt="0.0000001", completion="0.0000004"),
    )
    return _fleet(stage, "fleet-money", upstream=upstream, policy=policy)


def _fleet(
    stage: Stage,
    name: str,
    *,
    upstream: Upstream | None = None,
    listen: Listen | None = None,
    policy: Policy | None = None,
) -> Program:
    """The gateway as deploy runs it: keys, journal, admin door and state; the node's own locked packages."""
    folder = stage.folder / name
    folder.mkdir(exist_ok=True)
    listen = listen or Listen(host="127.0.0.1", port=free_port())
    keys = KeyRing(keys=(HashedKey(name="bench", sha256=hashlib.sha256(stage.key.encode()).hexdigest()),))
    (folder / "keys.json").write_bytes(msgspec.json.encode(keys))
    upstream = upstream or Upstream(
        name=MODEL,
        kind="api",
        url=stage.mock_url,
        engine="openai_compatible",
        serves=MODEL,
        model=MODEL,
        max_in_flight=_UNBOUNDED,
    )
    config = GatewayConfig(
        node="bench",
        role=GatewayRole.EDGE if listen.certificate_file else GatewayRole.FRONT,
        listen=listen,
        keys_file=str(folder / "keys.json"),
        upstreams=(upstream,),
        admin_port=free_port(),
        state_dir=str(folder),
        log_file=str(folder / "gateway.log"),
        routes=() if policy is None else (Route(name=MODEL, upstreams=(MODEL,), track=Track.TOKEN),),
        policy=policy,
    )
    (folder / "gateway.json").write_bytes(msgspec.json.encode(config))
    command = (str(python("node")), "-m", "fleet.node.gateway", "--config", str(folder / "gateway.json"))
    tls = listen.certificate_file is not None
    return Program(command, listen.port, "/healthz", {"PYTHONPATH": str(ROOT)}, tls=tls)


def _front_and_edge(stage: Stage) -> tuple[Program, ...]:
    """Front, TLS with a pinned key, edge, mock. Both on the target's one core."""
    key, certificate = stage.folder / "edge.key", stage.folder / "edge.crt"
    make = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    where = ("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=edge")
    subprocess.run([*make, *where], check=True, capture_output=True)
    listen = Listen(host="127.0.0.1", port=free_port(), certificate_file=str(certificate), key_file=str(key))
    edge = _fleet(stage, "edge", listen=listen)
    shown = stage.folder / "edge-client.key"
    shown.write_text(stage.key)
    shown.chmod(0o600)
    upstream = Upstream(
        name="edge",
        kind="edge",
        url=f"https://127.0.0.1:{listen.port}",
        engine="edge",
        serves=MODEL,
        model=MODEL,
        pin=pin_of(ssl.PEM_cert_to_DER_cert(certificate.read_text())),
        key_file=str(shown),
        max_in_flight=_UNBOUNDED,
    )
    return edge, _fleet(stage, "front", upstream=upstream)


def _portkey(stage: Stage) -> Target:
    port = free_port()
    script = "node_modules/@portkey-ai/gateway/build/start-server.js"
    headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: {stage.mock_url}/v1", stage.bearer)
    program = Program(("node", script, f"--port={port}", "--headless"), port, "/", folder=PORTKEY)
    return Target("portkey", (program,), headers, slow=True)


def _litellm(stage: Stage) -> Target:
    port = free_port()
    config = stage.folder / "litellm.yaml"
    config.write_text((HERE / "litellm.yaml").read_text().format(url=f"{stage.mock_url}/v1", key=stage.key))
    command = (
        *(str(python("litellm").parent / "litellm"), "--config", str(config), "--host", "127.0.0.1"),
        *("--port", str(port), "--num_workers", "1", "--telemetry", "False"),
    )
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    program = Program(command, port, "/health/liveliness", env, folder=stage.folder, boot_seconds=180)
    return Target("litellm", (program,), (stage.bearer,), slow=True)
