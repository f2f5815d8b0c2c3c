"""What must be had before states can be compiled. Reads lock files for their digests; nothing else is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fleet.control.desired.expand import NodePlaybook, expand, refuse_tags
from fleet.control.desired.keys import ring_references, secret_references
from fleet.control.desired.roster import Roster, rosters
from fleet.control.desired.supplies import EnvNeed, InterpreterNeed, ModelNeed, Needs, SecretNeed
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Inventory, Node, Project, find_project
from fleet.control.inventory.secretrefs import path_of
from fleet.control.playbook.playbook import Playbook, Task
from fleet.control.playbook.shapes import given
from fleet.control.playbook.tasks import FileTask, ModelTask, PythonEnvTask
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import GatewayRole, NodeName


def needs(
    inventory: Inventory,
    playbook: Playbook,
    *,
    facts: Mapping[NodeName, Facts],
    nodes: Sequence[Node],
    tags: Sequence[str] = (),
    project: Project | None = None,
) -> Needs:
    """Everything that the states of `nodes` are made from, each thing once. Raises ConfigError.

    `project` is found from the inventory's path when it is not given.
    """
    refuse_tags(tuple(tags))
    project = project or find_project(str(inventory.path))
    books = expand(inventory, playbook, facts=facts, templates=Templates(project))
    wanted = [books[node.name] for node in nodes if node.name in books]
    for task, message, hint in missing_files(wanted, project):
        raise PlaybookError(message, place=task.place, hint=hint)
    return needs_of(wanted, rosters(books), project)


def needs_of(books: Sequence[NodePlaybook], lists: Mapping[NodeName, Roster], project: Project) -> Needs:
    """What the states of these nodes are made from; a lock or manifest may not be there."""
    envs = dict.fromkeys(env_need(book, env, project) for book in books for _, env in env_tasks(book))
    models = dict.fromkeys(model_need(model, project) for book in books for _, model in model_tasks(book))
    secrets = [
        reference
        for book in books
        for reference in (
            *_file_secrets(book),
            *secret_references(book, lists),
            *_changing(book, lists, project),
        )
    ]
    return Needs(
        envs=tuple(envs),
        models=tuple(models),
        interpreters=tuple(dict.fromkeys(interpreter_need(book.node) for book in books)),
        secrets=tuple(SecretNeed(reference=reference) for reference in dict.fromkeys(secrets)),
    )


def missing_files(books: Sequence[NodePlaybook], project: Project) -> Iterator[tuple[Task, str, str]]:
    """The locks and manifests that tasks name and that are not there: task, message, hint."""
    hint = "makes it; {kind}/ of the project, then the shipped ones, are looked through"
    for book in books:
        for task, env in env_tasks(book):
            if not env_need(book, env, project).lock_sha256:
                message = f"{task.name}: no file {lock_name(env)!r} in locks/"
                yield task, message, f"fleet env lock {env.name} {hint.format(kind='locks')}"
        for task, model in model_tasks(book):
            if not model_need(model, project).manifest_path.is_file():
                message = f"{task.name}: no file {manifest_name(model)!r} in models/"
                yield task, message, f"fleet model lock SOURCE --name {model.name} {hint.format(kind='models')}"


def env_tasks(book: NodePlaybook) -> Iterator[tuple[Task, PythonEnvTask]]:
    """The python_env tasks of a node."""
    return book.of_kind("python_env", PythonEnvTask)


def model_tasks(book: NodePlaybook) -> Iterator[tuple[Task, ModelTask]]:
    """The model tasks of a node."""
    return book.of_kind("model", ModelTask)


def lock_name(env: PythonEnvTask) -> str:
    """The lock's file below locks/."""
    return given(env.lock) or f"{env.name}.lock"


def manifest_name(model: ModelTask) -> str:
    """The manifest's file below models/."""
    return given(model.manifest) or f"{model.name}.json"


def env_need(book: NodePlaybook, env: PythonEnvTask, project: Project) -> EnvNeed:
    """The need of a python_env task on one node. A lock that is not there has no digest."""
    path = _project_file(project, "locks", lock_name(env))
    settings = book.node.settings
    return EnvNeed(
        name=env.name,
        lock_path=path,
        lock_sha256=hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        python_version=settings.python_version,
        platform=settings.platform,
        os_version=book.facts.os_version if book.facts and settings.platform == "macos-arm64" else None,
    )


def model_need(model: ModelTask, project: Project) -> ModelNeed:
    """The need of a model task. The manifest may not be there."""
    return ModelNeed(manifest_path=_project_file(project, "models", manifest_name(model)))


def interpreter_need(node: Node) -> InterpreterNeed:
    """The need of a node's interpreter."""
    settings = node.settings
    standalone = settings.interpreter == "standalone"
    return InterpreterNeed(
        kind="standalone" if standalone else "path",
        python_version=settings.python_version,
        platform=settings.platform,
        path=None if standalone else settings.interpreter,
    )


def _file_secrets(book: NodePlaybook) -> Iterator[str]:
    for _, action in book.of_kind("file", FileTask):
        reference = given(action.secret)
        if reference:
            yield reference


def _changing(book: NodePlaybook, lists: Mapping[NodeName, Roster], project: Project) -> Iterator[str]:
    """The keys beside those of a gateway's ring, while they are changed."""
    role = lists[book.node.name].role
    if role is None:
        return
    for name, (_, *beside) in ring_references(book.node).items():
        for reference in beside if role is GatewayRole.FRONT or name == "fleet_key" else ():
            if path_of(reference.removeprefix("file:"), project.root).is_file():
                yield reference


def _project_file(project: Project, kind: str, name: str) -> Path:
    """The file of that kind; where it would be when it is not there, or when the name leads out of its folder."""
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    return (project.file(kind, name) if inside else None) or project.root / kind / Path(name).name / "(missing)"
