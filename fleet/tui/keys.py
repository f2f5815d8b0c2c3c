"""The keys of a screen, told once: footer, help and palette read the same bindings. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple, Protocol

from textual.binding import Binding

ACT = "act("
_ALWAYS = "app.help"
_FIRST_TO_GO = ("app.quit", "lines.open", "app.export", "lines.mark", "rows.sort")
"""What a narrow footer does without, in this order: the help tells them all."""
_TEXTUALS = frozenset(
    {
        "scroll_left",
        "scroll_right",
        "page_left",
        "page_right",
        "app.focus_next",
        "app.focus_previous",
        "screen.copy_text",
    }
)
"""Textual's own, which do nothing on a screen of rows."""
_BETWEEN = ("  ", " ")
_ASCII_KEYS = MappingProxyType(
    {"⏎": "enter", "↑": "up", "↓": "down", "←": "left", "→": "right", "⌫": "backspace", "␣": "space"}
)


class Group(IntEnum):
    """Where a key works, in the order in which a person looks for it."""

    HERE = 0
    EVERYWHERE = 1
    ACTION = 2


class Key(NamedTuple):
    """A key: `press` as Textual names it, `shown` as a person reads it. `kept` is for the footer as well."""

    press: str
    shown: str
    word: str
    says: str
    group: Group
    action: str = ""
    id: str = ""
    kept: bool = True

    @property
    def cells(self) -> int:
        """Its width in the footer."""
        return len(self.shown) + 1 + len(self.word)


class Active(Protocol):
    """What Textual says of a binding that works now."""

    @property
    def node(self) -> object:
        """Whose it is."""
        ...

    @property
    def binding(self) -> Binding:
        """The binding."""
        ...

    @property
    def tooltip(self) -> str:
        """Its help."""
        ...


def keys_of(
    active: Iterable[Active],
    *,
    shown: Callable[[Binding], str],
    everywhere: object,
    says: Mapping[str, str] | None = None,
) -> list[Key]:
    """The keys that work now, those of one action together, the foot's first.

    `everywhere` is whose keys work on all screens. `says` are the helps of verbs by their action.
    """
    found: dict[str, Key] = {}
    for one in active:
        binding = one.binding
        if not binding.description or binding.action in _TEXTUALS:
            continue
        before = found.get(binding.action)
        name = shown(binding)
        if before is not None and (before.kept or not binding.show):
            if name not in before.shown.split():
                found[binding.action] = before._replace(shown=f"{before.shown} {name}")
            continue
        acts = binding.action.startswith(ACT)
        where = Group.EVERYWHERE if one.node is everywhere else Group.HERE
        found[binding.action] = Key(
            press=binding.key,
            shown=f"{name} {before.shown}" if before is not None else name,
            word=binding.description,
            says=(says or {}).get(binding.action) or binding.tooltip or "",
            group=Group.ACTION if acts else where,
            action=binding.action,
            id=binding.id or "",
            kept=binding.show,
        )
    return sorted(found.values(), key=lambda key: (key.group, not key.kept))


def ascii_key(name: str) -> str:
    """The name of a key where a terminal has no sign for it."""
    return _ASCII_KEYS.get(name, name)


def footer_lines(keys: Sequence[Key], width: int) -> list[tuple[str, list[Key]]]:
    """The footer: one line when all fits, else a second one for the actions. Each with what stands between its keys.

    A key stands there whole or not at all; help is the last to go.
    """
    kept = [key._replace(shown=key.shown.split()[0]) for key in keys if key.kept]
    kept.sort(key=lambda key: key.id == _ALWAYS)
    moves = [key for key in kept if key.group is not Group.ACTION]
    actions = [key for key in kept if key.group is Group.ACTION]
    if not actions or _cells(kept, _BETWEEN[0]) <= width:
        return [_fitting([*actions, *moves] if actions else moves, width)]
    return [_fitting(moves, width), _fitting(actions, width)]


def _fitting(keys: list[Key], width: int) -> tuple[str, list[Key]]:
    left = list(keys)
    while True:
        for between in _BETWEEN:
            if _cells(left, between) <= width:
                return between, left
        goes = next((key for name in _FIRST_TO_GO for key in left if key.id == name), None)
        others = [key for key in left if key.id != _ALWAYS]
        left.remove(goes or (others[-1] if others else left[-1]))


def _cells(keys: Sequence[Key], between: str) -> int:
    return sum(key.cells for key in keys) + len(between) * max(0, len(keys) - 1)
