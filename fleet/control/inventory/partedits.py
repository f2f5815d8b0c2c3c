"""Edits of a part of a YAML text: another order of a list, a key less, a key more, another number. Pure.

Each edit is checked: the new text must say exactly what was meant, or there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import yaml

from fleet.control.inventory.partedit import Append, CannotEdit, Drop, Number, Order, PartEdit, Put, dotted
from fleet.control.inventory.partpage import Page
from fleet.control.inventory.wording import same_value
from fleet.control.inventory.yamlsource import KeyPath, parse_yaml
from fleet.errors import InventoryError

_BOM = "\ufeff"


def edited(text: str, edits: Sequence[PartEdit], *, name: str) -> str:
    """`text` of a file called `name` after `edits`. Raises CannotEdit, InventoryError when `text` is no YAML."""
    body = text.removeprefix(_BOM)
    for edit in edits:
        for step in _steps(parse_yaml(body, name=name).value, edit):
            body = _stepped(body, step, name)
    return text[: len(text) - len(text.removeprefix(_BOM))] + body


def _stepped(text: str, edit: PartEdit, name: str) -> str:
    source = parse_yaml(text, name=name)
    page, meant = Page(text, name, source.root), _unshared(source.value)
    _do(meant, edit)
    found = page.after(edit)
    try:
        said = parse_yaml(found, name=name).value
    except InventoryError as problem:
        raise CannotEdit(f"{page.place(edit.path)}: it would not be YAML any more ({problem.title})") from None
    if not same_value(said, meant):
        raise CannotEdit(f"{page.place(edit.path)}: something else would change")
    return found


def _steps(value: Any, edit: PartEdit) -> list[PartEdit]:
    """An order of fewer items: each that goes, then the order of those that stay."""
    if not isinstance(edit, Order):
        return [edit]
    there = _at_path(value, edit.path)
    gone = [at for at, item in enumerate(there) if item not in edit.items] if isinstance(there, list) else []
    return [*(Drop((*edit.path, at)) for at in reversed(gone)), edit]


def _at_path(value: Any, path: KeyPath) -> Any:
    try:
        for step in path:
            value = value[step]
    except (KeyError, IndexError, TypeError):
        return None
    return value


def _unshared(value: Any) -> Any:
    """A copy in which an alias is a value of its own: what is written once and used twice is not to change twice."""
    if isinstance(value, dict):
        return {key: _unshared(one) for key, one in value.items()}
    return [_unshared(one) for one in value] if isinstance(value, list) else value


def _do(value: Any, edit: PartEdit) -> None:
    """The same, to plain data. Raises CannotEdit where `path` leads nowhere."""
    *above, last = edit.path
    try:
        for step in above:
            value = value[step]
        match edit:
            case Order(items=items):
                if sorted(value[last]) != sorted(items):
                    raise CannotEdit(f"{dotted(edit.path)} is not {', '.join(items)} in another order")
                value[last] = list(items)
            case Drop():
                del value[last]
            case Put(key=key, value=new):
                if key in value[last]:
                    raise CannotEdit(f"{dotted(edit.path)}: {key} is in it already")
                value[last][key] = new
            case Append(item=item):
                value[last].append(item)
            case Number(text=text):
                value[last] = yaml.safe_load(text)
            case _:
                assert_never(edit)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise CannotEdit(f"{dotted(edit.path)} is not there") from None
