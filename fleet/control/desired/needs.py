"""What must be had before states can be compiled. Reads lock files for their digests; nothing else is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import UnsetType

from fleet.control.desired.expand import NodePlaybook, expand, refuse_tags
from fleet.control.desired.keys import ring_references, secret_references
from fleet.control.desired.roster import Roster, rosters
from fleet.control.desired.supplies import ArchiveNeed, EnvNeed, InterpreterNeed, ModelNeed, Needs, SecretNeed
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Inventory, Node, Project, find_project
from fleet.control.inventory.secretrefs import path_of
from fleet.control.playbook.playbook import Playbook, Task
from fleet.control.playbook.shapes import given, whole
from fleet.control.playbook.tasks import ArchiveTask, FileTask, ModelTask, PythonEnvTask
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import GatewayRole, NodeName

NPM_LOCK = ("package.json", "package-lock.json")
"""What pins an npm tree."""


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
    archives = dict.fromkeys(
        archive_need(book, task, one, project) for book in books for task, one in archive_tasks(book)
    )
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
        archives=tuple(archives),
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
        for task, archive in archive_tasks(book):
            need = archive_need(book, task, archive, project)
            if need.npm and not need.sha256:
                message = f"{task.name}: no {' and '.join(NPM_LOCK)} in locks/{given(archive.npm)}/"
                yield task, message, "npm install --package-lock-only writes the lock of a package.json"
            elif need.path is not None and not need.npm and not need.path.is_file():
                yield task, f"{task.name}: no file {given(archive.file)!r} in archives/ of the project", ""


def env_tasks(book: NodePlaybook) -> Iterator[tuple[Task, PythonEnvTask]]:
    """The python_env tasks of a node."""
    return book.of_kind("python_env", PythonEnvTask)


def model_tasks(book: NodePlaybook) -> Iterator[tuple[Task, ModelTask]]:
    """The model tasks of a node."""
    return book.of_kind("model", ModelTask)


def archive_tasks(book: NodePlaybook) -> Iterator[tuple[Task, ArchiveTask]]:
    """The archive tasks of a node."""
    return book.of_kind("archive", ArchiveTask)


def archive_paths(book: NodePlaybook) -> dict[str, str]:
    """Stand-ins for the paths of a node's archives, where only their names are known yet."""
    return {archive.name: "/" for _, archive in archive_tasks(book)}


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


def archive_need(book: NodePlaybook, task: Task, archive: ArchiveTask, project: Project) -> ArchiveNeed:
    """The need of an archive task on one node. What it names in the project may not be there."""
    npm = given(archive.npm)
    if npm is not None:
        folder = _project_file(project, "locks", f"{npm}/{NPM_LOCK[-1]}").parent
        texts = [folder / name for name in NPM_LOCK]
        whole_lock = b"".join(text.read_bytes() for text in texts if text.is_file())
        there = all(text.is_file() for text in texts)
        return ArchiveNeed(
            name=archive.name,
            sha256=hashlib.sha256(whole_lock).hexdigest() if there else "",
            path=folder,
            npm=True,
            platform=book.node.settings.platform,
        )
    file, strip = given(archive.file), given(archive.strip)
    return ArchiveNeed(
        name=archive.name,
        sha256=given(archive.sha256) or "",
        url=given(archive.url),
        path=None if file is None else _project_file(project, "archives", file),
        strip=0 if strip is None else whole(strip, place=task.place, what="strip"),
    )


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
    """Of secret files only: what others hold may name what is not known yet (`archives`, `interpreter`)."""
    for task in book.tasks:
        if isinstance(task.action, FileTask) and not isinstance(task.action.secret, UnsetType):
            yield book.fill(task).secret


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
