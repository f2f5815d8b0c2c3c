"""The kinds of tasks: a closed set, one struct each. Pure data, with `{{ }}` not yet filled in.

Paths that are not absolute lie below the node's root.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleet.control.playbook.shapes import Count, Mode, Name, Port, Scalar, Sha256, Shape, Size, Span, Text, Whole


class DirectoryTask(Shape, frozen=True, kw_only=True):
    """A directory with its mode and owner."""

    path: Text
    mode: Mode = "0755"
    owner: Text | UnsetType = UNSET
    group: Text | UnsetType = UNSET


class FileTask(Shape, frozen=True, kw_only=True):
    """A file: `src` below the project's templates/, `content` as it stands, or a `secret` by reference."""

    one_of: ClassVar[tuple[str, ...]] = ("src", "content", "secret")

    dest: Text
    src: Text | UnsetType = UNSET
    content: str | UnsetType = UNSET
    secret: Annotated[Text, Meta(description="`env:NAME` or `file:PATH`")] | UnsetType = UNSET
    mode: Annotated[Mode, Meta(description="0600 for a secret, else 0644")] | UnsetType = UNSET
    owner: Text | UnsetType = UNSET
    group: Text | UnsetType = UNSET


class TemplateTask(Shape, frozen=True, kw_only=True):
    """A file rendered from `src` below templates/ of the project, else of the package."""

    src: Text
    dest: Text
    mode: Mode = "0644"
    owner: Text | UnsetType = UNSET
    group: Text | UnsetType = UNSET


class PythonEnvTask(Shape, frozen=True, kw_only=True):
    """The packages of a lock, built on the laptop. Daemons name it as their `env`."""

    name: Name
    lock: Annotated[Text, Meta(description="A file below locks/; NAME.lock when absent")] | UnsetType = UNSET


class ModelTask(Shape, frozen=True, kw_only=True):
    """The weights of a model, by the manifest that `fleet model lock` wrote."""

    name: Text
    manifest: Annotated[Text, Meta(description="A file below models/; NAME.json when absent")] | UnsetType = UNSET


class ArchiveTask(Shape, frozen=True, kw_only=True):
    """A pinned folder: an archive that is fetched or lies in the project, or the packages of an npm lock.

    Tasks and templates name it as `{{ archives.NAME }}`: its path on the node, which changes with its content.
    """

    one_of: ClassVar[tuple[str, ...]] = ("url", "file", "npm")
    together: ClassVar[tuple[tuple[str, str], ...]] = (("url", "sha256"), ("file", "sha256"))
    apart: ClassVar[tuple[tuple[str, str], ...]] = (("npm", "sha256"), ("npm", "strip"))

    name: Name
    url: (
        Annotated[Text, Meta(description="A tar (gz, bz2, xz) or zip: https, http, or a file:// of the laptop")]
        | UnsetType
    ) = UNSET
    file: Annotated[Text, Meta(description="A tar or zip below archives/ of the project")] | UnsetType = UNSET
    npm: (
        Annotated[Text, Meta(description="A folder below locks/ with package.json and package-lock.json")] | UnsetType
    ) = UNSET
    sha256: Annotated[Sha256, Meta(description="Of the archive as it is fetched")] | UnsetType = UNSET
    strip: Annotated[Count, Meta(description="Leading folders that are left out")] | UnsetType = UNSET


class AgentDaemon(Shape, frozen=True, kw_only=True):
    """The agent of the node."""

    service: Literal["agent"]
    env: Name
    environment: dict[str, Text] = msgspec.field(default_factory=dict)


class GatewayDaemon(Shape, frozen=True, kw_only=True):
    """The gateway of the node. A later play's role wins: a node has one gateway."""

    service: Literal["gateway"]
    role: Literal["front", "edge"]
    env: Name
    environment: dict[str, Text] = msgspec.field(default_factory=dict)


class SidecarDaemon(Shape, frozen=True, kw_only=True):
    """An inference server with one model, on loopback behind the node's gateway."""

    service: Literal["sidecar"]
    name: Name
    env: Name
    model: Text
    port: Port
    engine: Name = "mlx_lm"
    serves: (
        Annotated[Text, Meta(description="The name that clients ask for; the model's own when absent")] | UnsetType
    ) = UNSET
    context: (
        Annotated[Count, Meta(description="Tokens that one request may take; the manifest's when absent")] | UnsetType
    ) = UNSET
    kv_reserve: (
        Annotated[Size, Meta(description="Memory kept for key-value caches, all requests together")] | UnsetType
    ) = UNSET
    max_in_flight: Count = 16
    options: Annotated[dict[str, Scalar | dict[str, Scalar]], Meta(description="The engine's own options")] = (
        msgspec.field(default_factory=dict)
    )
    environment: dict[str, Text] = msgspec.field(default_factory=dict)


class OpenClawDaemon(Shape, frozen=True, kw_only=True):
    """OpenClaw's gateway, with the fleet's front as its model provider."""

    service: Literal["openclaw"]
    runtime: Annotated[Name, Meta(description="The archive that holds bin/node")]
    package: Annotated[Name, Meta(description="The archive that holds node_modules/openclaw")]
    key: Annotated[Text, Meta(description="Secret reference of the key that it shows to fronts, which know it by that")]
    token: Annotated[Text, Meta(description="Secret reference of the token that its own clients show to it")]
    port: Port = 18789
    bind: Literal["loopback", "lan", "tailnet"] = "loopback"
    state: Annotated[Text, Meta(description="Its folder: sessions, pairings, workspace")] = "var/openclaw"
    existing: Annotated[
        Literal["refuse", "adopt"], Meta(description="What is done with a job that OpenClaw installed by itself")
    ] = "refuse"
    primary: (
        Annotated[Text, Meta(description="The route that it asks for first; the front's default when absent")]
        | UnsetType
    ) = UNSET
    fallbacks: tuple[Text, ...] = ()
    models: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="Routes that it is offered, in order, with fields of its model entries; all when absent"),
    ] = msgspec.field(default_factory=dict)
    settings: Annotated[dict[str, Any], Meta(description="Merged into openclaw.json: channels, tools, agents")] = (
        msgspec.field(default_factory=dict)
    )
    secrets: Annotated[
        dict[str, Text], Meta(description="Variables that `${NAME}` in settings stands for -> secret references")
    ] = msgspec.field(default_factory=dict)
    ca: (
        Annotated[Text, Meta(description="The certificate of a front on another node, as a file of this one")]
        | UnsetType
    ) = UNSET
    environment: dict[str, Text] = msgspec.field(default_factory=dict)


class CustomDaemon(Shape, frozen=True, kw_only=True):
    """A daemon of your own: `program` words, or a plist `template` below templates/."""

    one_of: ClassVar[tuple[str, ...]] = ("program", "template")

    label: Annotated[Name, Meta(description="What follows the label prefix")]
    program: Annotated[tuple[Text, ...], Meta(min_length=1)] | UnsetType = UNSET
    template: Text | UnsetType = UNSET
    env: Name | UnsetType = UNSET
    user: Text | UnsetType = UNSET
    group: Text | UnsetType = UNSET
    environment: dict[str, Text] = msgspec.field(default_factory=dict)
    working_directory: Text | UnsetType = UNSET
    keep_alive: Literal["always", "on_failure", "never"] = "always"
    process_type: Literal["Standard", "Interactive", "Adaptive", "Background"] = "Standard"
    throttle: Span = "10s"
    exit_timeout: Span = "20s"
    ports: tuple[Port, ...] = ()
    restart_on: Annotated[tuple[Text, ...], Meta(description="Files of this playbook whose change restarts it")] = ()
    reload_on: Annotated[tuple[Text, ...], Meta(description="Files of this playbook whose change sends it SIGHUP")] = ()


class CommandTask(Shape, frozen=True, kw_only=True):
    """A command by its words, without a shell. It says when it is needed."""

    some_of: ClassVar[tuple[str, ...]] = ("creates", "check", "on_change_of")

    argv: Annotated[tuple[Text, ...], Meta(min_length=1)]
    creates: Annotated[Text, Meta(description="Not run when this path exists")] | UnsetType = UNSET
    check: (
        Annotated[tuple[Text, ...], Meta(min_length=1, description="Not run when this command exits 0")] | UnsetType
    ) = UNSET
    on_change_of: (
        Annotated[
            tuple[Text, ...], Meta(min_length=1, description="Run when one of these tasks, by name, changed something")
        ]
        | UnsetType
    ) = UNSET
    undo: (
        Annotated[tuple[Text, ...], Meta(min_length=1, description="Reverts it; without it a revert leaves it")]
        | UnsetType
    ) = UNSET
    user: Text | UnsetType = UNSET
    timeout: Span = "5m"


class WaitForTask(Shape, frozen=True, kw_only=True):
    """Wait for a loopback port, a path, or a loopback URL that answers 2xx."""

    one_of: ClassVar[tuple[str, ...]] = ("port", "path", "url")

    port: Port | UnsetType = UNSET
    path: Text | UnsetType = UNSET
    url: Text | UnsetType = UNSET
    timeout: Span = "60s"


PmsetTask = Annotated[
    dict[Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9 ]*$")], Whole],
    Meta(min_length=1, description="Power settings for all sources (`pmset -a`), read back"),
]
SysctlTask = Annotated[
    dict[Annotated[str, Meta(pattern=r"^[a-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+$")], int | Text],
    Meta(min_length=1, description="Kernel settings, read back, and put back at every boot"),
]

DaemonTask = AgentDaemon | GatewayDaemon | SidecarDaemon | OpenClawDaemon | CustomDaemon
Action = (
    DirectoryTask
    | FileTask
    | TemplateTask
    | PythonEnvTask
    | ModelTask
    | ArchiveTask
    | DaemonTask
    | CommandTask
    | WaitForTask
    | dict[str, int | str]
)

KINDS: dict[str, tuple[object, ...]] = {
    "directory": (DirectoryTask,),
    "file": (FileTask,),
    "template": (TemplateTask,),
    "python_env": (PythonEnvTask,),
    "model": (ModelTask,),
    "archive": (ArchiveTask,),
    "daemon": (AgentDaemon, GatewayDaemon, SidecarDaemon, OpenClawDaemon, CustomDaemon),
    "command": (CommandTask,),
    "wait_for": (WaitForTask,),
    "pmset": (PmsetTask,),
    "sysctl": (SysctlTask,),
}
"""The kinds that this release carries out, and what each may hold."""

LATER_KINDS = ("reboot",)
