"""Which playbook a name means."""

from __future__ import annotations

from fleet.control.inventory.project import Project
from fleet.control.playbook import Playbook, load_playbook
from fleet.errors import UsageError


def playbook_of(project: Project, name: str) -> Playbook:
    """The playbook of that name: the project's, else the shipped one. Raises UsageError, PlaybookError."""
    path = project.file("playbooks", name if name.endswith((".yml", ".yaml")) else f"{name}.yml")
    if path is None:
        hint = "playbooks/ of the project is looked through, then the shipped ones"
        raise UsageError(f"no playbook {name!r}", hint=hint)
    return load_playbook(path)
