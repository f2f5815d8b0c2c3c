"""The launchd jobs of fleet's own services, as values. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fleet.control.desired.jobs import SYSTEM_PATH, Job, job_account, session_types
from fleet.control.desired.roster import Sidecar
from fleet.control.playbook.playbook import Task
from fleet.control.playbook.shapes import given, seconds
from fleet.control.playbook.tasks import CustomDaemon
from fleet.engines import EngineCommand, SidecarSpec
from fleet.errors import PlaybookError
from fleet.vocabulary.layout import NodeLayout

AGENT_EXIT_SECONDS = 10
SIDECAR_EXIT_SECONDS = 20
GATEWAY_EXIT_SECONDS = 30
"""The drain (20 s) and a margin: launchd kills what is still there then."""


def base_environment(layout: NodeLayout, *, folders: Sequence[str]) -> dict[str, str]:
    """What a job cannot take from launchd (FACTS section 1.8): who and where it is, and where its packages are."""
    return {
        "HOME": layout.home,
        "LANG": "en_US.UTF-8",
        "LOGNAME": layout.owner,
        "PATH": SYSTEM_PATH,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join(folders),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": layout.var("tmp"),
        "USER": layout.owner,
    }


def service_job(
    layout: NodeLayout,
    service: str,
    *,
    interpreter: str,
    folders: Sequence[str],
    environment: Mapping[str, str],
    exit_timeout_seconds: int,
) -> Job:
    """The agent or the gateway: `-m fleet.node.SERVICE` with its file in etc/."""
    user, group = job_account(layout)
    # The gateway rotates its own gateway.log; launchd's paths hold the crash tail (FACTS section 1.7).
    log = layout.log("agent.log" if service == "agent" else f"{service}.err.log")
    return Job(
        label=layout.label(service),
        argv=(interpreter, "-s", "-m", f"fleet.node.{service}", "--config", layout.etc(f"{service}.json")),
        user=user,
        group=group,
        environment={**base_environment(layout, folders=folders), **environment},
        working_directory=f"{layout.root}/var",
        stdout=log,
        stderr=log,
        exit_timeout_seconds=exit_timeout_seconds,
        process_type="Standard" if service == "agent" else "Interactive",
        session_types=session_types(layout),
    )


def sidecar_spec(
    sidecar: Sidecar, layout: NodeLayout, *, model_path: str, memory_bytes: int | None, kv_reserve_bytes: int | None
) -> SidecarSpec:
    """What the engine is told of a sidecar."""
    return SidecarSpec(
        name=sidecar.name,
        model_path=model_path,
        serves=sidecar.serves,
        port=sidecar.port,
        hub_dir=layout.var("huggingface"),
        engine=sidecar.engine,
        options=dict(sidecar.options),  # type: ignore[arg-type]  # scalars and dicts, by the playbook's struct
        environment=sidecar.environment,
        context_tokens=sidecar.context_tokens,
        memory_bytes=memory_bytes,
        kv_reserve_bytes=kv_reserve_bytes,
    )


def sidecar_job(sidecar: Sidecar, layout: NodeLayout, *, interpreter: str, env: str, command: EngineCommand) -> Job:
    """An inference server. fleet's own part is not on its path: a new fleet must not reload a model."""
    user, group = job_account(layout)
    log = layout.log(f"{sidecar.service}.log")
    return Job(
        label=layout.label(sidecar.service),
        argv=(interpreter, "-s", *command.argv_tail),
        user=user,
        group=group,
        environment={**base_environment(layout, folders=[env]), **command.environment},
        working_directory=f"{layout.root}/var",
        stdout=log,
        stderr=log,
        throttle_seconds=30,
        exit_timeout_seconds=SIDECAR_EXIT_SECONDS,
        process_type="Interactive",
        session_types=session_types(layout),
    )


def sysctl_job(layout: NodeLayout, settings: Mapping[str, str]) -> Job:
    """Puts kernel settings back at boot, as root, once."""
    log = layout.state("sysctl.log")
    return Job(
        label=layout.label("sysctl"),
        argv=(layout.command("sysctl"), *(f"{name}={value}" for name, value in sorted(settings.items()))),
        stdout=log,
        stderr=log,
        keep_alive=False,
        umask=0o022,
    )


def custom_job(
    task: Task, custom: CustomDaemon, layout: NodeLayout, *, interpreter: str, env: str | None, app: str
) -> Job:
    """A daemon of the playbook's own. Raises PlaybookError."""
    user, group = job_account(layout)
    if user is not None:
        user, group = given(custom.user) or user, given(custom.group) or group
    elif given(custom.user):
        reason = f"launchd runs every job of {layout.domain} as the user of that domain"
        raise PlaybookError(f"{task.name}: `user` cannot be had in {layout.domain}", place=task.place, detail=reason)
    folders = [env, app] if env else []
    environment = base_environment(layout, folders=folders)
    if not env:
        environment = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
    log = layout.log(f"{custom.label}.log")
    words = given(custom.program) or (interpreter,)
    return Job(
        label=layout.label(custom.label),
        argv=words,
        user=user,
        group=group,
        environment={**environment, **custom.environment},
        working_directory=placed(given(custom.working_directory) or "var", layout, place=task.place),
        stdout=log,
        stderr=log,
        keep_alive={"SuccessfulExit": False} if custom.keep_alive == "on_failure" else custom.keep_alive == "always",
        throttle_seconds=math.ceil(seconds(custom.throttle, place=task.place, what="throttle")),
        exit_timeout_seconds=math.ceil(seconds(custom.exit_timeout, place=task.place, what="exit_timeout")),
        process_type=custom.process_type,
        session_types=session_types(layout),
    )


def placed(path: str, layout: NodeLayout, *, place: str) -> str:
    """`path` on the node: below the root when it is not absolute. Raises PlaybookError for ~ and `..`."""
    if path.startswith("~") or ".." in path.split("/"):
        raise PlaybookError(f"{path!r}: neither ~ nor .. in a path of a node", place=place, hint="write the whole path")
    return path.rstrip("/") if path.startswith("/") else f"{layout.root}/{path}".rstrip("/")
