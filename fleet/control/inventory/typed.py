"""Checks fleet's own variables where they are written: type, spelling, and one name of a pair. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fleet.control.inventory.misfit import Misfit, misfit
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.settings import ANSIBLE_ALIASES, NodeSettings, describe
from fleet.control.inventory.structure import Structure, Written
from fleet.control.inventory.wording import expected_of
from fleet.errors import InventoryError


def canonical(name: str) -> str:
    """The name that fleet has for a variable: `address` for `ansible_host`, else the name itself."""
    return ANSIBLE_ALIASES.get(name, name)


def setting_types() -> Mapping[str, object]:
    """The type of each of fleet's own variables."""
    return {field.name: field.type for field in msgspec.structs.fields(NodeSettings)}


def typed_value(written: Written) -> object:
    """The value that fleet takes. Ansible's spellings take a number in quotes as well, as Ansible does."""
    if written.name == "ansible_port" and isinstance(written.value, str) and written.value.isdecimal():
        return int(written.value[:9])
    return written.value


def check_types(structure: Structure) -> None:
    """Check every variable of groups and nodes. Raises InventoryError at the first that does not fit."""
    types = setting_types()
    for group in structure.groups.values():
        check_variables(group.variables, types)
    checked: set[int] = set()
    for node in structure.nodes.values():
        fresh = [variable for variable in node.variables if id(variable) not in checked]
        check_variables(fresh, types)
        checked.update(map(id, fresh))
        _one_of_a_pair(node.variables)


def check_variables(variables: Iterable[Written], types: Mapping[str, object]) -> None:
    """Check variables written at one place. Raises InventoryError."""
    variables = tuple(variables)
    for variable in variables:
        name = canonical(variable.name)
        if name in types:
            _check(variable, types[name])
    _one_of_a_pair(variables)


def _check(variable: Written, kind: object) -> None:
    found = misfit(typed_value(variable), kind)
    if found is None:
        return
    where = ".".join(str(step) for step in (variable.name, *found.path))
    raise InventoryError(
        f"{where}: {found.said}", place=variable.at(*found.path), hint=found.hint or _hint(variable, found)
    )


def _hint(variable: Written, found: Misfit) -> str:
    value, expected = found.value, expected_of(found.kind)
    raw = variable.spot.source.raw((*variable.spot.path, *found.path)) if variable.spot else variable.raw
    if isinstance(value, str) and "{{" in value:
        return "fleet does not evaluate {{ }} in an inventory: write the value itself"
    if isinstance(value, bool | int | float) and expected.startswith("text"):
        return f'YAML does not read {raw or value} as text: put it in quotes, "{raw or value}"'
    if isinstance(value, str) and "number" in expected and value.strip().isdecimal():
        return f"write {value.strip()} without quotes"
    if isinstance(value, str) and "`" in expected:
        near = did_you_mean(value, expected.replace("`", "").split(" or "))
        return near or f"write one of these: {expected}"
    return f"{canonical(variable.name)}: {describe(canonical(variable.name))}"


def _one_of_a_pair(variables: Iterable[Written]) -> None:
    seen: dict[str, Written] = {}
    for variable in variables:
        if canonical(variable.name) not in ANSIBLE_ALIASES.values():
            continue
        first = seen.setdefault(canonical(variable.name), variable)
        if first.name != variable.name:
            raise InventoryError(
                f"{variable.name} and {first.name} are one variable",
                place=variable.place,
                detail=f"{first.name} is at {first.place}",
                hint="keep one of them",
            )
