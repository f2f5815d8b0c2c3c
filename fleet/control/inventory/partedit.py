"""What may be done to a part of a YAML text, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.control.inventory.yamlsource import KeyPath


class CannotEdit(ValueError):
    """The text is written in a way that this edit would disturb; the message says where and how."""


@dataclass(frozen=True)
class Order:
    """The list at `path` holds these of its items, in this order."""

    path: KeyPath
    items: tuple[str, ...]


@dataclass(frozen=True)
class Drop:
    """The key or the item that ends `path` is there no more."""

    path: KeyPath


@dataclass(frozen=True)
class Put:
    """The mapping at `path` has one more key."""

    path: KeyPath
    key: str
    value: str


@dataclass(frozen=True)
class Append:
    """The list at `path` has one more item."""

    path: KeyPath
    item: str


@dataclass(frozen=True)
class Number:
    """The number at `path` is another one, as it is written."""

    path: KeyPath
    text: str


PartEdit = Order | Drop | Put | Append | Number


def dotted(path: KeyPath) -> str:
    """A path for messages."""
    return ".".join(str(step) for step in path)
