"""Where the command `fleet` begins: a deploy that changes nothing needs neither click nor YAML.

The plainest ways to say it go the short way first (`control/actions/shortcut.py`). Whatever is said otherwise, or is
not known to be idle, is the command line's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_YES = ("-y", "--yes")
_STOPPED = 130


@dataclass(frozen=True)
class Plain:
    """`fleet [-i FILE] plan|deploy [PLAYBOOK] [--on SELECTOR]`, a deploy with `--yes`, and nothing else."""

    verb: str
    inventory: str | None = None
    playbook: str = "site.yml"
    on: str | None = None


def main() -> None:
    """Run the command line, and end with an exit code of DESIGN section 6."""
    plain = plainly(sys.argv[1:], environ=os.environ)
    try:
        if plain is not None and _was_idle(plain):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)  # all is said, and an interpreter takes its time to end
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(_STOPPED)
    from fleet.cli.main import main as whole

    whole()


def plainly(words: Sequence[str], *, environ: Mapping[str, str]) -> Plain | None:
    """What the words ask for, when it is that and no more."""
    rest = list(words)
    inventory = environ.get("FLEET_INVENTORY") or None
    if len(rest) > 1 and rest[0] in ("-i", "--inventory"):
        inventory, rest = rest[1], rest[2:]
    if not rest or rest[0] not in ("plan", "deploy"):
        return None
    verb, *rest = rest
    playbook = on = None
    yes = False
    while rest:
        word = rest.pop(0)
        if word in _YES and verb == "deploy":
            yes = True
        elif word == "--on" and rest and on is None:
            on = rest.pop(0)
        elif word and not word.startswith("-") and playbook is None:
            playbook = word
        else:
            return None
    if verb == "deploy" and not yes:
        return None
    return Plain(verb=verb, inventory=inventory, playbook=playbook or "site.yml", on=on)


def _was_idle(plain: Plain) -> bool:
    from fleet.control.inventory.project import find_project
    from fleet.errors import FleetError

    try:
        project = find_project(plain.inventory)
    except (FleetError, OSError):
        return False  # the whole command line says what is wrong
    if not (project.state_dir / "cache").is_dir():
        return False
    from fleet.control.actions.shortcut import asked_for, idle

    nodes = idle(asked_for(project, playbook=plain.playbook, on=plain.on))
    if nodes is None:
        return False
    text = f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}, nothing to do"
    if plain.verb == "deploy":
        sys.stderr.write(f"{text}\n")
    else:
        green = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        sys.stdout.write(f"\x1b[32m{text}\x1b[0m\n" if green else f"{text}\n")
    return True
