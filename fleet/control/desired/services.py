"""The services of a node, as rollout, status and logs speak of them. Pure."""

from __future__ import annotations

from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.needs import archive_paths
from fleet.control.desired.roster import Roster
from fleet.control.desired.states import ServiceSpec
from fleet.control.playbook.playbook import Task
from fleet.control.playbook.shapes import whole
from fleet.control.playbook.tasks import (
    AgentDaemon,
    CustomDaemon,
    DaemonTask,
    GatewayDaemon,
    OpenClawDaemon,
    SidecarDaemon,
)
from fleet.vocabulary.names import Label, ModelName, ServiceKind


def services_of(book: NodePlaybook, own: Roster) -> tuple[ServiceSpec, ...]:
    """The daemons that are meant to run on a node, in the order of its tasks, each once."""
    found: dict[str, ServiceSpec] = {}
    for task in book.tasks:
        if isinstance(task.action, DaemonTask):
            service = _service(book, own, task)
            found[service.name] = service
    return tuple(found.values())


def _service(book: NodePlaybook, own: Roster, task: Task) -> ServiceSpec:
    layout, settings, node = book.layout, book.node.settings, book.node.name
    match task.action:
        case AgentDaemon():
            name, kind, port = "agent", ServiceKind.AGENT.value, settings.agent_port
            return ServiceSpec(
                name=name, kind=kind, label=Label(layout.label(name)), node=node, port=port,
                url=f"http://127.0.0.1:{port}", logs=(layout.log("agent.log"),),
            )  # fmt: skip
        case GatewayDaemon():
            name, kind = "gateway", ServiceKind.GATEWAY.value
            return ServiceSpec(
                name=name, kind=kind, label=Label(layout.label(name)), node=node, port=settings.gateway_port,
                url=own.gateway_local_url, logs=(layout.log("gateway.log"), layout.log("gateway.err.log")),
            )  # fmt: skip
        case SidecarDaemon():
            wanted = book.fill(task).name
            sidecar = next(sidecar for sidecar in own.sidecars if sidecar.name == wanted)
            name, kind = sidecar.service, ServiceKind.SIDECAR.value
            return ServiceSpec(
                name=name, kind=kind, label=Label(layout.label(name)), node=node, port=sidecar.port, url=sidecar.url,
                model=ModelName(sidecar.model), serves=sidecar.serves, logs=(layout.log(f"{name}.log"),),
            )  # fmt: skip
        case OpenClawDaemon():
            name, door = ServiceKind.OPENCLAW.value, own.openclaw.port if own.openclaw else None
            return ServiceSpec(
                name=name, kind=name, label=Label(layout.label(name)), node=node, port=door,
                url=f"http://127.0.0.1:{door}", logs=(layout.log(f"{name}.log"),),
            )  # fmt: skip
        case _:
            custom: CustomDaemon = book.fill(task, interpreter="/", archives=archive_paths(book))
            ports = ports_of(task, custom)
            return ServiceSpec(
                name=custom.label, kind="custom", label=Label(layout.label(custom.label)), node=node,
                port=ports[0] if ports else None, url=f"http://127.0.0.1:{ports[0]}" if ports else None,
                logs=(layout.log(f"{custom.label}.log"),), kept=custom.keep_alive != "never",
            )  # fmt: skip


def ports_of(task: Task, custom: CustomDaemon) -> tuple[int, ...]:
    """The ports that a daemon of the playbook's own names. Raises PlaybookError."""
    return tuple(whole(port, place=task.place, what="ports", low=1, high=65535) for port in custom.ports)
