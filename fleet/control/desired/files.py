"""Directories and files of one node's tasks, and the configurations that fleet writes itself."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.control.desired.contents import Contents
from fleet.control.desired.daemonjobs import placed
from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.sealed import Sealed, as_it_is
from fleet.control.inventory import Project
from fleet.control.playbook.playbook import Task
from fleet.control.playbook.shapes import given, mode_bits
from fleet.control.playbook.tasks import DirectoryTask, FileTask, TemplateTask
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.desired import Blob, Directory, File
from fleet.vocabulary.secret import Secret


class NodeFiles:
    """Makes the file items of one node. `values` are names that templates see besides the node's own."""

    def __init__(
        self,
        book: NodePlaybook,
        contents: Contents,
        *,
        values: Mapping[str, object],
        secrets: Mapping[str, Secret],
        project: Project,
    ) -> None:
        self._book = book
        self._contents = contents
        self._values = values
        self._secrets = secrets
        self._project = project
        self._blobs: dict[str, Blob] = {}

    def placed(self, path: str, task: Task) -> str:
        """`path` on the node. Raises PlaybookError."""
        return placed(path, self._book.layout, place=task.place)

    def blob_at(self, path: str) -> Blob | None:
        """The content of the file at `path`, when a task before this one has made it."""
        return self._blobs.get(path)

    def directory(self, task: Task, action: DirectoryTask) -> Directory:
        """The item of a directory task."""
        layout = self._book.layout
        return Directory(
            task=task.name,
            path=self._destination(action.path, task),
            mode=mode_bits(action.mode, place=task.place),
            owner=given(action.owner) or layout.admin,
            group=given(action.group) or layout.admin_group,
        )

    def file(self, task: Task, action: FileTask) -> File:
        """The item of a file task."""
        reference, source = given(action.secret), given(action.src)
        if reference:
            blob = self._contents.add_secret(as_it_is(reference, self._secrets))
        elif source:
            blob = self._source(task, source)
        else:
            blob = self._contents.add((given(action.content) or "").encode())
        return self._item(task, action, blob, mode=given(action.mode) or ("0600" if reference else "0644"))

    def template(self, task: Task, action: TemplateTask) -> File:
        """The item of a template task. Raises TemplateError."""
        text = self._book.templates.render(action.src, {**self._book.values, **self._values}, asked=task.place)
        return self._item(task, action, self._contents.add(text.encode()), mode=action.mode)

    def config(self, name: str, content: bytes | Sealed, *, task: str) -> File:
        """A file that fleet itself writes into etc/: a secret one is the services' alone."""
        layout = self._book.layout
        secret = isinstance(content, Sealed)
        blob = self._contents.add_secret(content) if isinstance(content, Sealed) else self._contents.add(content)
        path = layout.etc(name)
        self._blobs[path] = blob
        return File(
            task=task,
            path=path,
            blob=blob,
            mode=0o600 if secret else 0o644,
            owner=layout.owner if secret else layout.admin,
            group=layout.group if secret else layout.admin_group,
            sensitive=secret,
        )

    def _item(self, task: Task, action: FileTask | TemplateTask, blob: Blob, *, mode: str) -> File:
        layout = self._book.layout
        path = self._destination(action.dest, task)
        self._blobs[path] = blob
        # A secret is for the services to read; everything else is the admin's.
        owner, group = (layout.owner, layout.group) if blob.secret else (layout.admin, layout.admin_group)
        return File(
            task=task.name,
            path=path,
            blob=blob,
            mode=mode_bits(mode, place=task.place),
            owner=given(action.owner) or owner,
            group=given(action.group) or group,
            sensitive=task.sensitive or blob.secret,
        )

    def _destination(self, path: str, task: Task) -> str:
        """Where a task may write: sync asks the same of the layout again, as root (node/sync/safety.py)."""
        layout = self._book.layout
        found = self.placed(path, task)
        if layout.reserves(found):
            raise PlaybookError(
                f"{task.name}: {found} is not a place for files of a playbook",
                place=task.place,
                hint=f"etc/ and var/ below {layout.root} are; a daemon's plist comes from a `daemon` task",
            )
        return found

    def _source(self, task: Task, name: str) -> Blob:
        found = self._book.templates.plain(name)
        if found is None:
            raise PlaybookError(f"{task.name}: no file {name!r} in templates/", place=task.place)
        return self._contents.add_known(*found)
