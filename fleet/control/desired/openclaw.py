"""OpenClaw's gateway on a node: its files, its job, and what becomes of a job that it installed by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.clients.openclaw import (
    KEY_VARIABLE,
    TOKEN_VARIABLE,
    OpenClawError,
    OpenClawGateway,
    environment_line,
    openclaw_config,
    openclaw_json,
    variables_of,
)
from fleet.control.desired.daemonjobs import base_environment, placed
from fleet.control.desired.gatewayfile import gateway_config
from fleet.control.desired.jobs import Job, job_account, session_types
from fleet.control.desired.manifests import Manifests
from fleet.control.desired.openclawmodels import offered_models
from fleet.control.desired.roster import Roster
from fleet.control.desired.sealed import Sealed
from fleet.control.desired.trees import Trees
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.playbook.playbook import Task
from fleet.control.playbook.shapes import given
from fleet.control.playbook.tasks import OpenClawDaemon
from fleet.errors import PlaybookError
from fleet.traffic.config import GatewayConfig
from fleet.vocabulary.contracts.desired import Command
from fleet.vocabulary.layout import NodeLayout
from fleet.vocabulary.names import GatewayRole, NodeName
from fleet.vocabulary.secret import Secret

EXIT_SECONDS = 60
"""It lets running turns end after SIGTERM; what is not done by then is cut."""
SETTLE_SECONDS = 90.0
_TOOLS = ("/opt/homebrew/bin", "/opt/homebrew/sbin", "/usr/local/bin")
"""Where its agents look for programs, behind its own Node.js and before the system's."""


@dataclass(frozen=True, kw_only=True)
class OpenClawParts:
    """What a node has of it. `settled` comes before the job: no other OpenClaw is in its way then."""

    config: bytes
    environment: Sealed
    state: str
    settled: Command
    job: Job
    ports: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Places:
    """Absolute paths on the node."""

    node: str
    program: str
    config: str
    environment: str
    state: str


def openclaw_of(
    task: Task,
    action: OpenClawDaemon,
    own: Roster,
    rosters: Mapping[NodeName, Roster],
    trees: Trees,
    *,
    manifests: Manifests,
    secrets: Mapping[str, Secret],
) -> OpenClawParts:
    """The OpenClaw of a node. Raises PlaybookError, and what the front's configuration raises."""
    where = _places(action, own.layout, trees, task=task)
    front = _front(own, rosters, task=task)
    offered = gateway_config(front, rosters, role=GatewayRole.FRONT, manifests=manifests, agent=True)
    return OpenClawParts(
        config=_config(action, own, front, offered, where, task=task),
        environment=_environment(action, secrets),
        state=where.state,
        settled=_settled(action, own.layout, trees, task=task),
        job=_job(action, own.layout, where, ca=_ca(action, own, front, task=task)),
        ports=(own.openclaw.port,) if own.openclaw else (),
    )


def _places(action: OpenClawDaemon, layout: NodeLayout, trees: Trees, *, task: Task) -> _Places:
    runtime, package = (trees.archive(name, place=task.place) for name in (action.runtime, action.package))
    return _Places(
        node=f"{runtime.path}/bin/node",
        program=f"{package.path}/node_modules/openclaw/dist/index.js",
        config=layout.etc("openclaw.json"),
        environment=layout.etc("openclaw.env"),
        state=placed(action.state, layout, place=task.place),
    )


def _front(own: Roster, rosters: Mapping[NodeName, Roster], *, task: Task) -> Roster:
    """The front that it asks: the node's own, else the first one. Raises PlaybookError."""
    fronts = [one for one in (own, *rosters.values()) if one.role is GatewayRole.FRONT]
    if not fronts:
        raise PlaybookError(
            f"{task.name}: OpenClaw asks a front, and no play makes one",
            place=task.place,
            hint="daemon: {service: gateway, role: front, env: node} on this node or another",
        )
    return fronts[0]


def _ca(action: OpenClawDaemon, own: Roster, front: Roster, *, task: Task) -> str | None:
    """The certificate that it trusts besides the system's; None over plain HTTP. Raises PlaybookError."""
    if not front.node.settings.gateway_tls:
        return None
    ca = given(action.ca)
    if ca is not None:
        return placed(ca, own.layout, place=task.place)
    if front is own:
        return own.layout.etc("edge.crt")
    raise PlaybookError(
        f"{task.name}: its front is {front.node.name}, whose certificate this node does not have",
        place=task.place,
        hint=f"put OpenClaw on {front.node.name}; or copy /etc/edge.crt of its root to templates/, send it with a file "
        "task and name that file in `ca`",
    )


def _config(
    action: OpenClawDaemon, own: Roster, front: Roster, offered: GatewayConfig, where: _Places, *, task: Task
) -> bytes:
    """The content of openclaw.json. Raises PlaybookError."""
    url = front.gateway_local_url if front is own else front.gateway_url
    try:
        config = openclaw_config(
            OpenClawGateway(
                base_url=f"{url}/v1",
                models=tuple(offered_models(action, offered, task)),
                workspace=f"{where.state}/workspace",
                log_file=f"{where.state}/openclaw.log",
                port=own.openclaw.port if own.openclaw else 0,
                bind=action.bind,
                primary=given(action.primary),
                fallbacks=action.fallbacks,
                settings=action.settings,
            )
        )
    except OpenClawError as error:
        raise PlaybookError(f"{task.name}: {error}", place=task.place) from None
    known = {KEY_VARIABLE, TOKEN_VARIABLE, *action.secrets, *action.environment}
    for name in sorted(variables_of(config) - known):
        raise PlaybookError(
            f"{task.name}: ${{{name}}} of its settings is set nowhere, and OpenClaw would refuse the whole file",
            place=task.place,
            hint=did_you_mean(name, known) or f"secrets: {{{name}: file:secrets/{name.lower()}}}",
        )
    return openclaw_json(config)


def _environment(action: OpenClawDaemon, secrets: Mapping[str, Secret]) -> Sealed:
    """The content of openclaw.env: the secrets that its configuration names."""
    references = {KEY_VARIABLE: action.key, TOKEN_VARIABLE: action.token, **action.secrets}

    def make() -> Secret:
        try:
            lines = [environment_line(name, secrets[one].reveal().strip()) for name, one in references.items()]
        except OpenClawError as error:
            raise PlaybookError(str(error)) from None
        return Secret("".join(lines))

    recipe = f"environment of openclaw: {', '.join(references)}"
    return Sealed(recipe=recipe, references=tuple(dict.fromkeys(references.values())), derived=True, make=make)


def _job(action: OpenClawDaemon, layout: NodeLayout, where: _Places, *, ca: str | None) -> Job:
    """The job. Its configuration is fleet's: OpenClaw is told to write neither that nor plists of its own."""
    user, group = job_account(layout)
    environment = base_environment(layout, folders=[])
    system_path = environment["PATH"]
    log = layout.log("openclaw.log")
    return Job(
        label=layout.label("openclaw"),
        argv=(
            where.node,
            f"--env-file={where.environment}",
            where.program,
            "gateway",
            "--port",
            str(action.port),
        ),
        user=user,
        group=group,
        environment={
            **{name: value for name, value in environment.items() if not name.startswith("PYTHON")},
            "PATH": ":".join((where.node.removesuffix("/node"), *_TOOLS, system_path)),
            "OPENCLAW_CONFIG_PATH": where.config,
            "OPENCLAW_CONFIG_READONLY": "1",
            "OPENCLAW_NO_RESPAWN": "1",
            "OPENCLAW_SERVICE_REPAIR_POLICY": "external",
            "OPENCLAW_STATE_DIR": where.state,
            **({"NODE_EXTRA_CA_CERTS": ca} if ca else {}),
            **action.environment,
        },
        working_directory=where.state,
        stdout=log,
        stderr=log,
        exit_timeout_seconds=EXIT_SECONDS,
        process_type="Interactive",
        session_types=session_types(layout),
    )


def _settled(action: OpenClawDaemon, layout: NodeLayout, trees: Trees, *, task: Task) -> Command:
    """Before ours is started: no job that OpenClaw installed by itself. Two of them would fight over the port."""
    words = (
        trees.interpreter,
        "-I",
        "-S",
        f"{trees.app.path}/fleet/node/openclawjob.py",
        *("--launchctl", layout.command("launchctl"), "--user", layout.owner, "--home", layout.home),
        *("--daemons", layout.daemons_dir, "--own", layout.label("openclaw"), "--domain", layout.domain),
    )
    adopts = action.existing == "adopt"
    return Command(
        task=task.name,
        name="OpenClaw's own job",
        argv=(*words, action.existing),
        user=layout.admin,
        check=(*words, "look" if adopts else "look-first"),
        undo=(*words, "give-back" if adopts else "leave"),  # a refusal changed nothing
        timeout_seconds=SETTLE_SECONDS,
    )
