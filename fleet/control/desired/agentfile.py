"""agent.json: what the agent of a node watches. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fleet.control.desired.caring import care_of, footprint_limit_of, golden_of
from fleet.control.desired.fitting import WIRED_LIMIT
from fleet.control.desired.roster import Roster
from fleet.control.desired.states import ServiceSpec
from fleet.vocabulary.contracts.agent import AgentConfig, AgentService, AgentSidecar
from fleet.vocabulary.units import MIB

_MB = 10**6


def agent_config(
    own: Roster,
    services: Sequence[ServiceSpec],
    *,
    sysctls: Mapping[str, str] | None = None,
    versions: Mapping[str, str] | None = None,
) -> AgentConfig:
    """The configuration of a node's agent; `services` are the daemons that are meant to run there.

    `sysctls` are the kernel settings of the playbook; `versions` say of each sidecar what makes its pace another.
    """
    settings, layout = own.node.settings, own.layout
    care, sudo = settings.care, (layout.command("sudo"), "-n") if settings.sudo else ()
    return AgentConfig(
        node=own.node.name,
        port=settings.agent_port,
        token_file=layout.etc("agent.token"),
        readings=settings.readings,
        domain=layout.domain,
        launchctl=layout.command("launchctl"),
        var_dir=f"{layout.root}/var",
        services=tuple(AgentService(name=one.name, label=one.label) for one in services if one.kept),
        sidecars=tuple(
            AgentSidecar(
                name=sidecar.service,
                model=sidecar.asked,
                port=sidecar.port,
                engine=sidecar.engine,
                serves=sidecar.serves,
                version=(versions or {}).get(sidecar.name, ""),
                footprint_limit_bytes=footprint_limit_of(care, sidecar.name),
                golden=golden_of(care, sidecar.name),
                care=care_of(care),
            )
            for sidecar in own.sidecars
        ),
        commands=dict(sorted(layout.commands.items())),
        gateway_admin_port=settings.gateway_admin_port if own.role is not None else None,
        wired_limit_bytes=_wired_limit_bytes(own, sysctls or {}),
        wired_limit_job=layout.label("sysctl") if WIRED_LIMIT in (sysctls or {}) else "",
        helper=(*sudo, layout.helper, "start"),
        logs=_logs(own, services),
        log_limit_bytes=round(settings.log_mb * _MB),
        log_files=settings.log_files,
    )


def _wired_limit_bytes(own: Roster, sysctls: Mapping[str, str]) -> int | None:
    """What the playbook sets, else what the inventory says is set; None = the system's own."""
    written = sysctls.get(WIRED_LIMIT, "")
    limit_mb = int(written) if written.isdigit() else own.node.settings.wired_limit_mb
    return limit_mb * MIB if limit_mb else None


def _logs(own: Roster, services: Sequence[ServiceSpec]) -> tuple[str, ...]:
    """What launchd keeps open for a process and never bounds (FACTS section 1.7). The gateway rotates its own log."""
    bounded = own.layout.log("gateway.log")
    return tuple(dict.fromkeys(path for service in services for path in service.logs if path != bounded))


def agent_json(config: AgentConfig) -> bytes:
    """The file: one key a line, in the order of the struct."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
