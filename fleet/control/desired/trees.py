"""The content-addressed folders of a node: interpreter, envs, fleet's own part, weights. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.needs import (
    archive_need,
    archive_tasks,
    env_need,
    env_tasks,
    interpreter_need,
    model_need,
    model_tasks,
)
from fleet.control.desired.supplies import Supplies
from fleet.control.inventory import Project
from fleet.control.inventory.nearest import did_you_mean
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.desired import Blob, Tree, TreeFile
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.layout import NodeLayout

PYTHON = "bin/python3"


@dataclass(frozen=True, kw_only=True)
class Trees:
    """The folders of one node. `interpreter` is the path of its Python; `envs`, `models` and `archives` are by name."""

    interpreter: str
    python: Tree | None
    app: Tree
    envs: Mapping[str, Tree]
    models: Mapping[str, Tree]
    manifests: Mapping[str, ModelManifest]
    archives: Mapping[str, Tree]

    def env(self, name: str, *, place: str) -> Tree:
        """The env of that name. Raises PlaybookError."""
        return _named(self.envs, name, what="python_env", place=place)

    def archive(self, name: str, *, place: str) -> Tree:
        """The archive of that name. Raises PlaybookError."""
        return _named(self.archives, name, what="archive", place=place)

    @property
    def archive_paths(self) -> dict[str, str]:
        """Where each archive lies, by its name: `archives` of tasks and templates."""
        return {name: tree.path for name, tree in self.archives.items()}

    def model(self, name: str, *, place: str) -> Tree:
        """The weights of that name. Raises PlaybookError."""
        return _named(self.models, name, what="model", place=place)


def trees_of(book: NodePlaybook, supplies: Supplies, project: Project) -> Trees:
    """The folders that a node's tasks ask for. Raises PlaybookError for two of one name that differ."""
    python, interpreter = _python(book, supplies)
    envs: dict[str, Tree] = {}
    for task, env in env_tasks(book):
        packed = supplies.envs[env_need(book, env, project)]
        tree = Tree(
            task=task.name,
            role="env",
            name=env.name,
            path=book.layout.env(packed.digest),
            archive=packed.archive,
            compile=True,
            interpreter=interpreter,
        )
        _only_one(envs, env.name, tree, what="python_env", place=task.place)
    models: dict[str, Tree] = {}
    manifests: dict[str, ModelManifest] = {}
    for task, model in model_tasks(book):
        manifest = supplies.models[model_need(model, project)]
        tree = weights_tree(model.name, manifest, book.layout, task=task.name)
        _only_one(models, model.name, tree, what="model", place=task.place)
        manifests[model.name] = manifest
    archives: dict[str, Tree] = {}
    for task, archive in archive_tasks(book):
        packed = supplies.archives[archive_need(book, task, archive, project)]
        path = book.layout.archive(packed.digest)
        tree = Tree(task=task.name, role="archive", name=archive.name, path=path, archive=packed.archive)
        _only_one(archives, archive.name, tree, what="archive", place=task.place)
    app = Tree(
        task="fleet",
        role="app",
        name="fleet",
        path=book.layout.app(supplies.app.digest),
        archive=supplies.app.archive,
        compile=True,
        interpreter=interpreter,
    )
    return Trees(
        interpreter=interpreter,
        python=python,
        app=app,
        envs=envs,
        models=models,
        manifests=manifests,
        archives=archives,
    )


def weights_tree(name: str, manifest: ModelManifest, layout: NodeLayout, *, task: str) -> Tree:
    """The weights of a model as a node keeps them."""
    return Tree(
        task=task,
        role="model",
        name=name,
        path=layout.model(name, manifest.digest),
        files=tuple(
            TreeFile(path=file.path, blob=Blob(digest=f"sha256:{file.sha256}", size=file.size_bytes))
            for file in sorted(manifest.files, key=lambda file: file.path)
        ),
    )


def _python(book: NodePlaybook, supplies: Supplies) -> tuple[Tree | None, str]:
    need = interpreter_need(book.node)
    if need.path is not None:
        if not need.path.startswith("/"):
            raise PlaybookError(f"interpreter {need.path!r} is not an absolute path", place=book.node.place)
        return None, need.path
    packed = supplies.interpreters[need]
    if packed is None:
        raise PlaybookError(f"no standalone Python {need.python_version} for {need.platform}", place=book.node.place)
    path = book.layout.python(packed.digest)
    tree = Tree(task="interpreter", role="python", name=need.python_version, path=path, archive=packed.archive)
    return tree, f"{path}/{PYTHON}"


def _only_one(found: dict[str, Tree], name: str, tree: Tree, *, what: str, place: str) -> None:
    other = found.setdefault(name, tree)
    if other.path != tree.path:
        raise PlaybookError(f"two {what} tasks are called {name!r} and differ ({other.task}, {tree.task})", place=place)


def _named(found: Mapping[str, Tree], name: str, *, what: str, place: str) -> Tree:
    if name not in found:
        hint = did_you_mean(name, found) or f"there is: {', '.join(found) or 'none'}"
        raise PlaybookError(f"no {what} task of this node is called {name!r}", place=place, hint=hint)
    return found[name]
