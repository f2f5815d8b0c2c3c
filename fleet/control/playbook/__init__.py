"""YAML -> plays and typed tasks."""

from fleet.control.playbook.loader import load_playbook
from fleet.control.playbook.playbook import Play, Playbook, Task

__all__ = ["Play", "Playbook", "Task", "load_playbook"]
