"""What must be had before states can be compiled. Reads lock files for their digests; nothing else is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fleet.control.desired.expand import NodePlaybook, expand, refuse_tags
from fleet.control.desired.keys import secret_references
from fleet.control.desired.roster import rosters
from fleet.control.desired.supplies import EnvNeed, InterpreterNeed, ModelNeed, Needs, SecretNeed
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Inventory, Node, Project, find_project
from fleet.control.playbook.playbook import Playbook, Task
from fleet.control.playbook.shapes import given
from fleet.control.playbook.tasks import FileTask, ModelTask, PythonEnvTask
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import NodeName


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
    lists = rosters(books)
    wanted = [books[node.name] for node in nodes if node.name in books]
    envs = dict.fromkeys(env_need(book, task, env, project) for book in wanted for task, env in env_tasks(book))
    models = dict.fromkeys(model_need(task, model, project) for book in wanted for task, model in model_tasks(book))
    secrets = [reference for book in wanted for reference in (*_file_secrets(book), *secret_references(book, lists))]
    return Needs(
        envs=tuple(envs),
        models=tuple(models),
        interpreters=tuple(dict.fromkeys(interpreter_need(book.node) for book in wanted)),
        secrets=tuple(SecretNeed(reference=reference) for reference in dict.fromkeys(secrets)),
    )


def env_tasks(book: NodePlaybook) -> Iterator[tuple[Task, PythonEnvTask]]:
    """The python_env tasks of a node."""
    return book.of_kind("python_env", PythonEnvTask)


def model_tasks(book: NodePlaybook) -> Iterator[tuple[Task, ModelTask]]:
    """The model tasks of a node."""
    return book.of_kind("model", ModelTask)


def env_need(book: NodePlaybook, task: Task, env: PythonEnvTask, project: Project) -> EnvNeed:
    """The need of a python_env task on one node. Raises PlaybookError when there is no such lock."""
    path = _project_file(project, "locks", given(env.lock) or f"{env.name}.lock", task, f"fleet env lock {env.name}")
    settings = book.node.settings
    return EnvNeed(
        name=env.name,
        lock_path=path,
        lock_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        python_version=settings.python_version,
        platform=settings.platform,
        os_version=book.facts.os_version if book.facts and settings.platform == "macos-arm64" else None,
    )


def model_need(task: Task, model: ModelTask, project: Project) -> ModelNeed:
    """The need of a model task. Raises PlaybookError when there is no such manifest."""
    name = given(model.manifest) or f"{model.name}.json"
    return ModelNeed(manifest_path=_project_file(project, "models", name, task, "fleet model lock SOURCE"))


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


def _project_file(project: Project, kind: str, name: str, task: Task, maker: str) -> Path:
    path = None if Path(name).is_absolute() or ".." in Path(name).parts else project.file(kind, name)
    if path is None:
        raise PlaybookError(
            f"{task.name}: no file {name!r} in {kind}/",
            place=task.place,
            hint=f"{maker} makes it; {kind}/ of the project, then the shipped ones, are looked through",
        )
    return path
