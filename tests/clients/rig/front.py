"""A front gateway as a real process, over upstreams that the rig started."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.engines import SidecarSpec, engine
from fleet.sim.ports import free_port
from fleet.traffic.config import GatewayConfig, Listen, Probing, Route, Timeouts, Upstream
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.vocabulary.names import GatewayRole
from tests.clients.rig.processes import body_of, running

CERTIFICATE = """[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = rig
[extensions]
subjectAltName = DNS:localhost,IP:127.0.0.1
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
"""
"""As `fleet adopt` asks openssl for a node's own certificate."""

KEY = "sk-fleet-test"
MOCK_MODELS = ("mock", "org/mock:free")


@dataclass(frozen=True, kw_only=True)
class Front:
    """A gateway that answers at `url`. `record` is what the scripted upstream was asked, a line of JSON each."""

    url: str
    port: int
    log: Path
    record: Path
    key: str = KEY
    certificate: Path | None = None

    def asked(self) -> list[dict[str, object]]:
        """The scripted upstream's record so far; probes of the gateway apart."""
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return [row for row in map(json.loads, lines) if row["body"].get("max_tokens") != 1]


@contextmanager
def front(
    folder: Path, *upstreams: Upstream, port: int | None = None, timeouts: Timeouts | None = None, tls: bool = False
) -> Iterator[Front]:
    """The gateway, once every upstream has proven itself. A route for each of them, under the name that it serves."""
    keys = folder / "keys.json"
    keys.write_bytes(msgspec.json.encode(KeyRing(keys=(HashedKey(name="rig", sha256=_sha256(KEY)),))))
    port = port or free_port()
    certificate = _certificate(folder) if tls else None
    listen = Listen(host="127.0.0.1", port=port)
    if certificate is not None:
        listen = msgspec.structs.replace(
            listen, certificate_file=str(certificate), key_file=str(certificate.with_suffix(".key"))
        )
    config = GatewayConfig(
        node="rig",
        role=GatewayRole.FRONT,
        listen=listen,
        keys_file=str(keys),
        upstreams=upstreams,
        routes=tuple(Route(name=one.serves, upstreams=(one.name,)) for one in upstreams),
        timeouts=timeouts or Timeouts(first_token_seconds=60, idle_seconds=30),
        probing=Probing(down_seconds=0.2),
        drain_seconds=1.0,
    )
    path, log = folder / "gateway.json", folder / "gateway.log"
    path.write_bytes(msgspec.json.encode(config))
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"

    def all_ready() -> bool:
        listed = body_of(f"{url}/v1/models", key=KEY, certificate=certificate)
        return listed is not None and all(model["fleet"]["ready"] for model in json.loads(listed)["data"])

    argv = ("-m", "fleet.node.gateway", "--config", str(path))
    with running(log, *argv, answers=all_ready):
        yield Front(url=url, port=port, log=log, record=folder / "upstream.jsonl", certificate=certificate)


@contextmanager
def scripted_upstreams(folder: Path) -> Iterator[tuple[Upstream, ...]]:
    """The scripted upstream (upstream.py), once for each model name. It takes everything that is said at once."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = ("-m", "tests.clients.rig.upstream", str(port), str(folder / "upstream.jsonl"))
    with running(folder / "upstream.log", *argv, answers=lambda: body_of(f"{url}/v1/models") is not None):
        yield tuple(
            Upstream(
                name=f"scripted-{number}", kind="api", url=url, engine="openai_compatible", serves=model, model=model,
                context_tokens=131_072, max_in_flight=64,
            )
            for number, model in enumerate(MOCK_MODELS)
        )  # fmt: skip


@contextmanager
def sidecar(folder: Path, model: Path, *, serves: str, context_tokens: int) -> Iterator[Upstream]:
    """A real `mlx_lm server`, by the command that deploy would write into its plist."""
    port = free_port()
    spec = SidecarSpec(
        name="chat",
        model_path=str(model),
        serves=serves,
        port=port,
        hub_dir=str(folder / "hf"),
        options={},
        environment={"MLX_DISABLE_COMPILE": "1", "HOME": str(folder)},
    )
    command = engine("mlx_lm").command(spec)
    for directory in map(Path, command.directories):
        directory.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    with running(
        folder / "sidecar.log",
        *command.argv_tail,
        answers=lambda: body_of(f"{url}/health") is not None,
        environment=command.environment,
    ):
        yield Upstream(
            name="chat", kind="sidecar", url=url, engine="mlx_lm", serves=serves, model="default_model",
            context_tokens=context_tokens,
        )  # fmt: skip


@contextmanager
def openrouter(folder: Path, *, model: str) -> Iterator[Upstream]:
    """The simulated OpenRouter; `model` is one of its models."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    key = folder / "openrouter.key"
    key.write_text("sk-or-rig")
    key.chmod(0o600)
    state = folder / "openrouter"
    argv = ("--port", str(port), "--state", str(state), "--key-file", str(key))
    module = "fleet.sim.upstreams.openrouter"
    log = folder / "openrouter.log"
    with running(log, "-m", module, *argv, answers=lambda: body_of(f"{url}/v1/models") is not None):
        yield Upstream(
            name="openrouter", kind="api", url=url, engine="openrouter", serves=model, model=model, key_file=str(key),
        )  # fmt: skip


def _certificate(folder: Path) -> Path:
    """A node's own certificate, its key beside it."""
    config, made = folder / "front.cnf", folder / "front.crt"
    config.write_text(CERTIFICATE)
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-config", str(config), "-keyout", str(made.with_suffix(".key")), "-out", str(made), "-days", "30"),
        ),
        check=True,
        capture_output=True,
    )
    return made


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
