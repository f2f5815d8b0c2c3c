"""fleet's own variables of a node: typed, each with its default and meaning. The schema and the guide come from here."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fleet.control.inventory.budgeting import BudgetsSetting, LabelsSetting, OwnCostSetting, TeamSetting
from fleet.control.inventory.caring import CareSetting, SpanOrNever
from fleet.control.inventory.serving import QueueSetting, RouteSetting, Span, TimeoutSetting, UpstreamSetting
from fleet.control.inventory.watching import HealthRoutingSetting, PowerHookSetting
from fleet.vocabulary.layout import NodeLayout

Port = Annotated[int, Meta(ge=1, le=65535)]
VolumeUuid = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]

ANSIBLE_ALIASES = {
    "ansible_host": "address",
    "ansible_user": "ssh_user",
    "ansible_port": "ssh_port",
    "ansible_ssh_private_key_file": "ssh_key_file",
}
"""Ansible's names of four of our variables. One of a pair may be set at one place, not both."""


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The variables that fleet understands, at any level of the inventory."""

    address: Annotated[str | None, Meta(description="Name or address of the node; its own name when absent.")] = None
    ssh_user: Annotated[
        str | None, Meta(description="Whom to log in as; ssh_config's or the local user when absent.")
    ] = None
    ssh_port: Annotated[Port | None, Meta(description="Port of sshd; ssh_config's or 22 when absent.")] = None
    ssh_key_file: Annotated[
        str | None, Meta(description="Private key to offer, instead of the agent's and ssh_config's.")
    ] = None
    link: Annotated[
        Literal["fabric", "openssh"],
        Meta(
            description="What carries the session: our own SSH, or (`openssh`) the ssh program; see the guide on adopting."
        ),
    ] = "fabric"
    host_key: Annotated[
        str | None,
        Meta(description="The node's pinned SSH key, `ssh-ed25519 AAAA...`; written by `fleet adopt`."),
    ] = None
    edge_key: Annotated[
        str | None,
        Meta(description="Pin of the gateway's TLS key, `sha256//BASE64`; written by `fleet adopt`."),
    ] = None
    secret_salt: Annotated[
        str | None,
        Meta(description="Keys the digests of secrets in the desired state; written by `fleet adopt`."),
    ] = None

    root: Annotated[str, Meta(description="Where fleet lives on the node.")] = "/opt/fleet"
    owner: Annotated[str | None, Meta(description="Account that runs the services; the SSH user when absent.")] = None
    group: Annotated[str, Meta(description="Group of the services.")] = "staff"
    home: Annotated[str | None, Meta(description="Home folder of `owner`; /Users/OWNER when absent.")] = None
    admin: Annotated[str, Meta(description="Account that owns what fleet installs.")] = "root"
    admin_group: Annotated[str, Meta(description="Group that owns what fleet installs.")] = "wheel"
    sudo: Annotated[bool, Meta(description="Whether fleet's helper is run through `sudo -n`.")] = True
    label_prefix: Annotated[
        str, Meta(description="Prefix of every launchd label.", pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$")
    ] = "org.fleet-macs"
    domain: Annotated[
        str, Meta(description="launchd domain of the services.", pattern=r"^(system|gui/\d+|user/\d+)$")
    ] = "system"
    daemons_dir: Annotated[str, Meta(description="Where plists of daemons lie.")] = "/Library/LaunchDaemons"
    sudoers_dir: Annotated[str, Meta(description="Where the sudoers drop-in lies.")] = "/etc/sudoers.d"
    commands: Annotated[dict[str, str], Meta(description="Other absolute paths of macOS commands, by name.")] = {}
    tmp_dir: Annotated[str, Meta(description="Where first contact may write before the root exists.")] = "/tmp"

    gateway_port: Annotated[Port, Meta(description="Port of the front or edge gateway.")] = 8790
    gateway_bind: Annotated[
        str, Meta(description="Address that the gateway binds. Not loopback means TLS and keys.")
    ] = "127.0.0.1"
    gateway_url_host: Annotated[
        str | None,
        Meta(description="Name under which fronts and clients reach the gateway; `address` when absent."),
    ] = None
    gateway_tls: Annotated[
        bool,
        Meta(description="TLS with the node's own pinned key. False is refused unless the bind is loopback."),
    ] = True
    gateway_key: Annotated[
        str | None, Meta(description="Secret reference of the key that clients show to a front.")
    ] = None
    fleet_key: Annotated[
        str | None, Meta(description="Secret reference of the key that fronts and the laptop show to edges.")
    ] = None
    gateway_admin_port: Annotated[
        Port, Meta(description="Loopback port of the gateway's admin door; the laptop comes over SSH.")
    ] = 8792
    deploy_drain: Annotated[
        SpanOrNever,
        Meta(description="How long running requests may take to end before a deploy stops their sidecar or gateway."),
    ] = "5m"
    gateway_timeouts: Annotated[
        TimeoutSetting, Meta(description="How long the gateway waits for what; spans like 90s or 5m.")
    ] = TimeoutSetting()
    gateway_queue: Annotated[
        QueueSetting, Meta(description="How many requests may wait for a place when all upstreams are full.")
    ] = QueueSetting()
    agent_port: Annotated[Port, Meta(description="Loopback port of the agent.")] = 8791
    sidecar_port: Annotated[Port, Meta(description="Loopback port of the node's (first) sidecar.")] = 8800
    sidecar_environment: Annotated[
        dict[str, str], Meta(description="Environment variables that every sidecar of the node gets.")
    ] = {}
    upstreams: Annotated[
        dict[str, UpstreamSetting],
        Meta(description="APIs that fronts may send requests to, by name: OpenRouter, or any OpenAI-compatible URL."),
    ] = {}
    routes: Annotated[
        dict[str, list[str] | RouteSetting],
        Meta(
            description="Route name -> served model names, in order. Every served model is a route of its own name as well."
        ),
    ] = {}
    default_route: Annotated[str | None, Meta(description="Route of a client that asks for `default`.")] = None
    budgets: Annotated[
        BudgetsSetting, Meta(description="How much may be spent, by track and in all; see the guide on money.")
    ] = BudgetsSetting()
    labels: Annotated[
        LabelsSetting, Meta(description="Labels of repositories, and what looks into prompts; see the guide on money.")
    ] = LabelsSetting()
    teams: Annotated[
        dict[str, TeamSetting], Meta(description="Teams of keys: what each may use together, and its cost centre.")
    ] = {}
    own_cost: Annotated[
        OwnCostSetting, Meta(description="What the node costs, for reports: rent or depreciation, and power.")
    ] = OwnCostSetting()
    health_routing: Annotated[
        HealthRoutingSetting,
        Meta(description="When a node that is not well gets less or no new work; see the guide on health."),
    ] = HealthRoutingSetting()
    front_watch: Annotated[
        bool, Meta(description="Whether fronts watch all nodes and one another, and tell people.")
    ] = True
    webhook: Annotated[
        str | None,
        Meta(description="Secret reference of the address that a front posts to when something breaks, and ends."),
    ] = None
    ping_url: Annotated[
        str | None,
        Meta(description="Secret reference of the address that a front asks regularly while it can serve."),
    ] = None
    ping_every: Annotated[Span, Meta(description="How often a front asks `ping_url`.")] = "1m"
    care: Annotated[
        CareSetting, Meta(description="What the agent may do for sidecars by itself; see the guide on health.")
    ] = CareSetting()
    power_hook: Annotated[
        PowerHookSetting | None,
        Meta(description="Command of a front for a node whose SSH port and gateway are both dead."),
    ] = None

    interpreter: Annotated[
        str,
        Meta(
            description="`standalone` (a build fetched by uv) or the absolute path of a Python 3.11 or later on the node."
        ),
    ] = "standalone"
    python_version: Annotated[
        str,
        Meta(description="Version of the standalone build, and of every env.", pattern=r"^3\.\d+(\.\d+)?$"),
    ] = "3.12"
    platform: Annotated[Literal["macos-arm64", "this-machine"], Meta(description="What envs are built for.")] = (
        "macos-arm64"
    )
    readings: Annotated[str, Meta(description="Where the agent reads: `macos`, `linux` or `file:PATH`.")] = "macos"

    keep_releases: Annotated[
        int,
        Meta(ge=2, description="How many releases a node keeps; the live one and the one before it always stay."),
    ] = 3
    keep_days: Annotated[
        float, Meta(ge=0, description="An older release that was last deployed longer ago goes; 0 = no such limit.")
    ] = 30.0
    keep_gb: Annotated[
        float,
        Meta(ge=0, description="What envs and models of all kept releases may take, in GB; 0 = no such limit."),
    ] = 100.0
    log_mb: Annotated[float, Meta(gt=0, description="Size at which the agent puts a service's log aside, in MB.")] = (
        16.0
    )
    log_files: Annotated[
        int, Meta(ge=1, le=99, description="How many logs that were put aside are kept of each service.")
    ] = 4

    models_volume: Annotated[
        VolumeUuid | None,
        Meta(description="UUID of the volume that is mounted at ROOT/models: adopt again after a change."),
    ] = None
    peer_weights: Annotated[
        bool, Meta(description="Whether the node takes weights from other nodes of a run, and gives them to those.")
    ] = True
    peer_mb_per_second: Annotated[
        float,
        Meta(ge=0, description="What it gives to all others together at most, in MB a second; 0 = no such limit."),
    ] = 0.0

    memory_gb: Annotated[
        float | None,
        Meta(description="Memory, to plan before the node was ever seen; the node's own word wins."),
    ] = None
    wired_limit_mb: Annotated[
        int | None,
        Meta(description="GPU wired limit to fit models into; read from the node when absent."),
    ] = None

    @property
    def adopted(self) -> bool:
        """Whether `fleet adopt` has pinned the node's key."""
        return self.host_key is not None

    @property
    def peer_bytes_per_second(self) -> int | None:
        """What it gives to other nodes at most; None: as much as the line takes."""
        return round(self.peer_mb_per_second * 1_000_000) or None

    def layout(self) -> NodeLayout:
        """Where things are on the node. `owner` falls back to the SSH user, then to `fleet`."""
        owner = self.owner or self.ssh_user or "fleet"
        return NodeLayout(
            root=self.root,
            owner=owner,
            group=self.group,
            admin=self.admin,
            admin_group=self.admin_group,
            home=self.home or f"/Users/{owner}",
            label_prefix=self.label_prefix,
            domain=self.domain,
            daemons_dir=self.daemons_dir,
            sudoers_dir=self.sudoers_dir,
            commands=dict(self.commands),
            models_volume=self.models_volume,
        )


@functools.cache
def setting_names() -> tuple[str, ...]:
    """Every variable that fleet understands, in the order of the guide."""
    return tuple(field.name for field in msgspec.structs.fields(NodeSettings))


def describe(name: str) -> str:
    """The meaning of a variable, one sentence."""
    for field in msgspec.structs.fields(NodeSettings):
        if field.name == name:
            return _description(field.type)
    raise KeyError(name)


def _description(kind: Any) -> str:
    for meta in getattr(kind, "__metadata__", ()):
        if isinstance(meta, Meta) and meta.description:
            return meta.description
    return ""
