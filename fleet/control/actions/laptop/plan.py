"""What a laptop tier is made of, as the file that its guard reads; and what its gateway is told. Pure."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from fleet.control.actions.laptop.guard import GuardTerms
from fleet.engines import EngineCommand, SidecarSpec, engine
from fleet.traffic.config import GatewayConfig, Listen, Probing, Route, Upstream
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.vocabulary.names import GatewayRole, NodeName

NODE = NodeName("laptop")
SIDECAR = "sidecar.laptop"
_DRAIN_SECONDS = 5.0


class LaptopPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One laptop tier. `pythonpath` is the folder with the gateway's and the server's packages, "" = they are there.

    `context_tokens` None = not known.
    """

    folder: str
    python: str
    model_path: str
    serves: str
    gateway_port: int
    admin_port: int
    sidecar_port: int
    pythonpath: str = ""
    context_tokens: int | None = None
    battery_stops: bool = True
    every_seconds: float = 5.0
    warned_seconds: float = 30.0
    well_seconds: float = 120.0
    schema: int = 1

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self.gateway_port}/v1"

    @property
    def terms(self) -> GuardTerms:
        """What the guard goes by."""
        return GuardTerms(
            battery_stops=self.battery_stops, warned_seconds=self.warned_seconds, well_seconds=self.well_seconds
        )

    def file(self, name: str) -> Path:
        """A file of this tier."""
        return Path(self.folder) / name


def sidecar_command(plan: LaptopPlan) -> EngineCommand:
    """The server, by the command that a deploy would write into its plist. Raises ConfigError."""
    spec = SidecarSpec(
        name="laptop",
        model_path=plan.model_path,
        serves=plan.serves,
        port=plan.sidecar_port,
        hub_dir=str(plan.file("hub")),
        context_tokens=plan.context_tokens,
    )
    return engine("mlx_lm").command(spec)


def gateway_config(plan: LaptopPlan) -> GatewayConfig:
    """A gateway on loopback, without TLS and without anything but this sidecar: `laptop`, or the model by its name."""
    upstream = Upstream(
        name=SIDECAR,
        kind="sidecar",
        url=f"http://127.0.0.1:{plan.sidecar_port}",
        engine="mlx_lm",
        serves=plan.serves,
        model="default_model",
        node=NODE,
        context_tokens=plan.context_tokens,
    )
    names = dict.fromkeys((str(NODE), plan.serves))
    return GatewayConfig(
        node=NODE,
        role=GatewayRole.EDGE,
        listen=Listen(host="127.0.0.1", port=plan.gateway_port),
        keys_file=str(plan.file("keys.json")),
        upstreams=(upstream,),
        routes=tuple(Route(name=name, upstreams=(upstream.name,)) for name in names),
        admin_port=plan.admin_port,
        log_file=str(plan.file("gateway.log")),
        drain_seconds=_DRAIN_SECONDS,
        probing=Probing(idle_seconds=60.0),
    )


def keyring(*, client: str, guard: str) -> KeyRing:
    """Who may ask: the client's key for answers, the guard's for draining."""
    return KeyRing(
        keys=(
            HashedKey(name="laptop", sha256=_sha256(client)),
            HashedKey(name="guard", sha256=_sha256(guard), scopes=("admin",)),
        )
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
