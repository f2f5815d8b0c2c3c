"""agent.json: what the agent of a node watches. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.control.desired.roster import Roster
from fleet.control.desired.states import ServiceSpec
from fleet.vocabulary.contracts.agent import AgentConfig, AgentService, AgentSidecar

_MB = 10**6


def agent_config(own: Roster, services: Sequence[ServiceSpec]) -> AgentConfig:
    """The configuration of a node's agent; `services` are the daemons that are meant to run there."""
    settings, layout = own.node.settings, own.layout
    return AgentConfig(
        node=own.node.name,
        port=settings.agent_port,
        token_file=layout.etc("agent.token"),
        readings=settings.readings,
        domain=layout.domain,
        launchctl=layout.command("launchctl"),
        var_dir=f"{layout.root}/var",
        services=tuple(AgentService(name=service.name, label=service.label) for service in services),
        sidecars=tuple(
            AgentSidecar(
                name=sidecar.service,
                model=sidecar.asked,
                port=sidecar.port,
                engine=sidecar.engine,
                serves=sidecar.serves,
            )
            for sidecar in own.sidecars
        ),
        commands=dict(sorted(layout.commands.items())),
        gateway_admin_port=settings.gateway_admin_port if own.role is not None else None,
        logs=_logs(own, services),
        log_limit_bytes=round(settings.log_mb * _MB),
        log_files=settings.log_files,
    )


def _logs(own: Roster, services: Sequence[ServiceSpec]) -> tuple[str, ...]:
    """What launchd keeps open for a process and never bounds (FACTS section 1.7). The gateway rotates its own log."""
    bounded = own.layout.log("gateway.log")
    return tuple(dict.fromkeys(path for service in services for path in service.logs if path != bounded))


def agent_json(config: AgentConfig) -> bytes:
    """The file: one key a line, in the order of the struct."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
