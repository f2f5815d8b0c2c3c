"""What is allowed but looks wrong: misspelt and unused variables, numbers that YAML reads oddly. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain

from fleet.control.inventory.finding import Finding
from fleet.control.inventory.nearest import nearest
from fleet.control.inventory.settings import ANSIBLE_ALIASES, setting_names
from fleet.control.inventory.structure import Structure, Written
from fleet.control.inventory.typed import canonical

_OLD_SPELLINGS = {
    "ansible_ssh_host": "ansible_host",
    "ansible_ssh_user": "ansible_user",
    "ansible_ssh_port": "ansible_port",
    "ansible_private_key_file": "ansible_ssh_private_key_file",
}


def suspicious(structure: Structure, overrides: Iterable[Written] = ()) -> Iterator[Finding]:
    """Warnings about variables, wherever they are written, each place once."""
    for variable in (*every_variable(structure), *overrides):
        yield from _misspelt(variable)
        yield from _odd_number(variable)
        yield from _template(variable)


def unused(structure: Structure, references: AbstractSet[str]) -> Iterator[Finding]:
    """Warnings about users' own variables that nothing refers to. `tags` and Ansible's are never unused."""
    known = {*setting_names(), "tags", *references}
    told: set[str] = set()
    for variable in every_variable(structure):
        if variable.name in known or variable.name.startswith("ansible_") or variable.name in told:
            continue
        told.add(variable.name)
        message = f"nothing refers to the variable {variable.name}"
        yield Finding(variable.place, "warning", message, "fine if Ansible or a script uses it")


def every_variable(structure: Structure) -> Iterator[Written]:
    """Every variable where it is written; one that a range gives to many nodes comes once."""
    seen: set[int] = set()
    groups = (entry.variables for entry in structure.groups.values())
    nodes = (entry.variables for entry in structure.nodes.values())
    for variable in chain.from_iterable(chain(groups, nodes)):
        if id(variable) not in seen:
            seen.add(id(variable))
            yield variable


def _misspelt(variable: Written) -> Iterator[Finding]:
    name = variable.name
    if name in _OLD_SPELLINGS:
        yield Finding(variable.place, "warning", f"fleet does not read {name}", f"write {_OLD_SPELLINGS[name]}")
        return
    if canonical(name) in setting_names() or (name.startswith("ansible_") and name not in ANSIBLE_ALIASES):
        return
    near = _near(name)
    if near:
        yield Finding(variable.place, "warning", f"{name} is none of fleet's variables", f"did you mean `{near}`?")


@functools.cache
def _near(name: str) -> str | None:
    """The setting that it may have been meant for; every node may have a variable of that name."""
    return nearest(name, setting_names(), cutoff=0.8)


def _odd_number(variable: Written) -> Iterator[Finding]:
    """YAML 1.1, which Ansible and fleet read, has numbers that people do not expect: 010 is 8, 22:30 is 1350."""
    raw, value = variable.raw, variable.value
    if isinstance(value, int) and not isinstance(value, bool) and re.fullmatch(r"0[0-7_]+|[^x]*:.*", raw):
        hint = f'write {value}, or "{raw}" in quotes if it is text'
        yield Finding(variable.place, "warning", f"{variable.name}: YAML reads {raw} as the number {value}", hint)


def _template(variable: Written) -> Iterator[Finding]:
    if canonical(variable.name) in setting_names() and isinstance(variable.value, str) and "{{" in variable.value:
        message = f"{variable.name}: fleet does not evaluate {{{{ }}}} in an inventory, and takes the text as it is"
        yield Finding(variable.place, "warning", message, "write the value itself")
