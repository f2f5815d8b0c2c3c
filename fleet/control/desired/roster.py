"""Pass one of compile: the gateway and the sidecars of every node, before anything is rendered. Pure.

A front must know the sidecars of all nodes, so they are found for the whole inventory, also for nodes that this
deploy does not touch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.control.desired.expand import NodePlaybook
from fleet.control.inventory import Node
from fleet.control.playbook.playbook import Task
from fleet.control.playbook.shapes import given, size_bytes, whole
from fleet.control.playbook.tasks import GatewayDaemon, OpenClawDaemon, SidecarDaemon
from fleet.engines.mlx_lm import DEFAULT_MODEL
from fleet.errors import PlaybookError
from fleet.vocabulary.layout import NodeLayout
from fleet.vocabulary.names import GatewayRole, NodeName


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """A sidecar as its task says, typed."""

    name: str
    env: str
    model: str
    serves: str
    port: int
    engine: str
    place: str
    task: str
    context_tokens: int | None = None
    kv_reserve_bytes: int | None = None
    max_in_flight: int = 16
    options: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """Its name among the node's services."""
        return f"sidecar.{self.name}"

    @property
    def asked(self) -> str:
        """The model name that its server is asked for: mlx_lm would go and load any other than its own word."""
        return DEFAULT_MODEL if self.engine == "mlx_lm" else self.model

    @property
    def url(self) -> str:
        """Where it answers, on the node itself."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, kw_only=True)
class OpenClaw:
    """OpenClaw's gateway of a node: what it asks fronts with, and where it listens."""

    key: str
    token: str
    port: int
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Roster:
    """One node: its sidecars, what its gateway is, and its OpenClaw."""

    node: Node
    layout: NodeLayout
    sidecars: tuple[Sidecar, ...] = ()
    role: GatewayRole | None = None
    openclaw: OpenClaw | None = None

    @property
    def edge(self) -> bool:
        """Whether a front reaches this node's sidecars through its gateway."""
        return self.role is GatewayRole.EDGE

    @property
    def gateway_url(self) -> str:
        """Where fronts and clients reach the gateway."""
        settings = self.node.settings
        host = settings.gateway_url_host or self.node.address
        return f"{_scheme(self.node)}://{_bracketed(host)}:{settings.gateway_port}"

    @property
    def gateway_local_url(self) -> str:
        """Where the gateway answers on the node itself."""
        settings = self.node.settings
        bind = settings.gateway_bind
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}.get(bind, bind)
        return f"{_scheme(self.node)}://{_bracketed(host)}:{settings.gateway_port}"


def roster(book: NodePlaybook) -> Roster:
    """The sidecars and the gateway's role of one node. A later play's role wins. Raises PlaybookError."""
    sidecars = tuple(_sidecar(book.node, task, action) for task, action in book.of_kind("daemon", SidecarDaemon))
    gateway = last_gateway(book)
    role = GatewayRole(book.fill(gateway).role) if gateway else None
    return Roster(node=book.node, layout=book.layout, sidecars=sidecars, role=role, openclaw=_openclaw(book))


def last_gateway(book: NodePlaybook) -> Task | None:
    """The task that says what the node's gateway is."""
    tasks = [task for task in book.tasks if isinstance(task.action, GatewayDaemon)]
    return tasks[-1] if tasks else None


def rosters(books: Mapping[NodeName, NodePlaybook]) -> Mapping[NodeName, Roster]:
    """The rosters of all nodes, in inventory order."""
    return {name: roster(book) for name, book in books.items()}


def _openclaw(book: NodePlaybook) -> OpenClaw | None:
    found = list(book.of_kind("daemon", OpenClawDaemon))
    if len(found) > 1:
        first, second = (task.name for task, _ in found[:2])
        raise PlaybookError(f"a node has one OpenClaw: {first!r} and {second!r} are two", place=found[1][0].place)
    for task, action in found:
        port = whole(action.port, place=task.place, what="port", low=1, high=65535)
        return OpenClaw(key=action.key, token=action.token, port=port, secrets=action.secrets)
    return None


def _sidecar(node: Node, task: Task, action: SidecarDaemon) -> Sidecar:
    if not action.name.replace("-", "").replace("_", "").isalnum():
        raise PlaybookError(f"sidecar name {action.name!r}: letters, digits and dashes only", place=task.place)
    context, reserve = given(action.context), given(action.kv_reserve)
    return Sidecar(
        name=action.name,
        env=action.env,
        model=action.model,
        serves=given(action.serves) or action.model,
        port=whole(action.port, place=task.place, what="port", low=1, high=65535),
        engine=action.engine,
        place=task.place,
        task=task.name,
        context_tokens=None if context is None else whole(context, place=task.place, what="context", low=1),
        kv_reserve_bytes=None if reserve is None else size_bytes(reserve, place=task.place, what="kv_reserve"),
        max_in_flight=whole(action.max_in_flight, place=task.place, what="max_in_flight", low=1),
        options=action.options,
        environment={**node.settings.sidecar_environment, **action.environment},
    )


def _scheme(node: Node) -> str:
    return "https" if node.settings.gateway_tls else "http"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
