"""A launchd job as a value, and its plist: rendered, parsed and checked. What `templates/launchd/*.plist.j2` see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.control.desired.plists import require_plist
from fleet.control.desired.templates import Templates
from fleet.errors import PlistError
from fleet.vocabulary.layout import NodeLayout

SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One launchd job. `user` and `group` are None where launchd takes none (root's jobs, gui and user domains).

    `keep_alive` is True, False or launchd's dict of conditions. `stdout`/`stderr` are absolute paths of log files.
    """

    label: str
    argv: tuple[str, ...]
    user: str | None = None
    group: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = "/"
    stdout: str
    stderr: str
    keep_alive: bool | Mapping[str, bool] = True
    run_at_load: bool = True
    process_type: str = "Standard"
    throttle_seconds: int = 10
    exit_timeout_seconds: int = 20
    open_files: int = 65536
    umask: int = 0o077
    session_types: tuple[str, ...] = ()


def render_job(
    job: Job,
    template: str,
    *,
    layout: NodeLayout,
    templates: Templates,
    values: Mapping[str, object] | None = None,
) -> str:
    """The plist text of `job`; `values` are names beside `daemon` and `layout`.

    Raises TemplateError, and PlistError for what launchd would refuse or ignore.
    """
    if layout.domain != "system" and layout.daemons_dir.startswith("/Library/LaunchDaemons"):
        raise PlistError(
            f"a job of {layout.domain} cannot lie in {layout.daemons_dir}: at boot launchd would start it as root",
            place=job.label,
            hint="daemons_dir: /Users/NAME/Library/LaunchAgents, or domain: system",
        )
    text = templates.render(template, {**(values or {}), "daemon": job, "layout": layout})
    require_plist(text, label=job.label, domain=layout.domain, template=template)
    return text


def session_types(layout: NodeLayout) -> tuple[str, ...]:
    """What LimitLoadToSessionType must say: a `user/UID` domain takes jobs of the Background session only."""
    return ("Background",) if layout.domain.startswith("user/") else ()


def job_account(layout: NodeLayout) -> tuple[str | None, str | None]:
    """UserName and GroupName: system domain only, launchd ignores them elsewhere (FACTS section 2.1)."""
    return (layout.owner, layout.group) if layout.domain == "system" else (None, None)


def apply_job(layout: NodeLayout, interpreter: str) -> Job:
    """The permanent on-demand job that owns every run. It runs as root, so its log lies where only root may write."""
    log = layout.state("apply.log")
    return Job(
        label=layout.apply_label,
        argv=(interpreter, "-I", "-S", layout.current_sync, "apply"),
        environment={"LANG": "en_US.UTF-8", "PATH": SYSTEM_PATH},
        stdout=log,
        stderr=log,
        keep_alive=False,
        throttle_seconds=1,  # a second deploy within ten seconds must not wait for launchd
        exit_timeout_seconds=20,
        umask=0o022,
        session_types=session_types(layout),
    )


def render_apply_plist(layout: NodeLayout, interpreter: str, templates: Templates) -> str:
    """The plist of the apply job, for adopt. Raises TemplateError, PlistError."""
    return render_job(apply_job(layout, interpreter), "launchd/apply.plist.j2", layout=layout, templates=templates)
