"""A YAML file that the user wrote, with the place of every key and value. Used for inventories and playbooks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.control.inventory.yamltree import Entry, Mark, YamlNode, compose
from fleet.errors import ConfigError, InventoryError

MAX_BYTES = 4 * 1024 * 1024

KeyPath = tuple[Any, ...]
"""How to get somewhere from the root: mapping keys and list indexes, `("all", "hosts", "mini-1", 0)`."""


@dataclass(frozen=True, eq=False)
class Positioned:
    """Plain data, and where in the file each part of it stands. `name` is the file as messages show it."""

    name: str
    text: str
    root: YamlNode

    @property
    def value(self) -> Any:
        """The plain data. Aliases share it: do not change it in place."""
        return self.root.value

    def place(self, path: KeyPath = ()) -> str:
        """`file:line:column` of the value at `path`; of the nearest thing above it where the path leads nowhere."""
        node, mark, _ = self._walk(path)
        return self._text(mark or node.start)

    def key_place(self, path: KeyPath) -> str:
        """`file:line:column` of the key that ends `path`; of the nearest thing above it where there is none."""
        *_, entry = self._walk(path)
        return self._text(entry.key.start) if entry else self.place(path)

    def raw(self, path: KeyPath) -> str:
        """The text of the scalar at `path` as it was written (`010`, `no`); empty for anything else."""
        return self._walk(path)[0].text

    def key_raw(self, path: KeyPath) -> str:
        """The text of the key that ends `path` as it was written; empty where there is none."""
        *_, entry = self._walk(path)
        return entry.key.node.text if entry else ""

    def _text(self, mark: Mark) -> str:
        return f"{self.name}:{mark.line}:{mark.column}"

    def _walk(self, path: KeyPath) -> tuple[YamlNode, Mark | None, Entry | None]:
        node, mark, entry = self.root, None, None
        for step in path:
            if step in node.entries:
                entry = node.entries[step]
                use = entry.value
            elif isinstance(step, int) and 0 <= step < len(node.items):
                use, entry = node.items[step], None
            else:
                break
            node = use.node
            empty = entry is not None and use.start == use.end
            mark = entry.key.start if entry is not None and empty else use.start
        return node, mark, entry


def load_yaml(path: Path, *, error: type[ConfigError] = InventoryError, name: str | None = None) -> Positioned:
    """Read `path`. Raises `error` with place, reason and advice for whatever is wrong with file or YAML."""
    shown = name or shown_path(path)
    return parse_yaml(read_text(path, error=error, name=shown), name=shown, error=error)


def parse_yaml(text: str, *, name: str, error: type[ConfigError] = InventoryError) -> Positioned:
    """`text` of a file called `name`. Raises `error`."""
    root = compose(text.removeprefix("\ufeff"), name=name, error=error)
    if root is None or (root.value is None and not root.text):
        raise error("the file is empty", place=f"{name}:1:1", hint="the guide has an example to begin with")
    return Positioned(name, text, root)


def read_text(path: Path, *, error: type[ConfigError] = InventoryError, name: str | None = None) -> str:
    """The text of `path`, line ends untouched. Raises `error`."""
    shown = name or shown_path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise error(f"larger than {MAX_BYTES // 1024**2} MiB", place=shown, hint="is this the right file?")
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"cannot be read: {problem.strerror or problem}", place=shown) from None
    try:
        return content.decode()
    except UnicodeDecodeError as problem:
        before = content[: problem.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise error(
            f"not UTF-8: the byte 0x{content[problem.start]:02x}",
            place=f"{shown}:{line}:{column}",
            hint="save the file as UTF-8",
        ) from None


def shown_path(path: Path) -> str:
    """`path` as messages show it: short where it lies in the current folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


def msgspec_path(message: str) -> KeyPath:
    """The path of a msgspec validation message (`... - at `$.tasks[2].file``), as far as it names keys."""
    match = re.search(r" - at `(?:key in )?\$(.*)`$", message)
    steps: list[Any] = []
    for key, index in re.findall(r"\.([^.\[]+)|\[([^]]*)\]", match[1] if match else ""):
        if index and not index.isdigit():  # `[...]`: some key of a dict, msgspec does not say which
            break
        steps.append(int(index) if index else key)
    return tuple(steps)
