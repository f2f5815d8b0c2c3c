"""Edits of YAML text as values: put keys beside a node, or replace a scalar, and touch nothing else. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from fleet.control.inventory.ranges import expand
from fleet.control.inventory.sites import Site, own_entries
from fleet.control.inventory.yamltree import Entry, Mark, Use

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_BLANK = re.compile(r"(?:[\s]|(?<=\s)#[^\n\r]*)*")


class Edit(NamedTuple):
    """Put `text` in the place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


def apply(text: str, edits: list[Edit]) -> str:
    """`text` after `edits`, which do not overlap; those at one place land in their order."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def quoted(value: str) -> str:
    """`value` as a YAML scalar in double quotes: printable ASCII, whatever is in it."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(char, char if " " <= char <= "~" else _escape(ord(char))) for char in value) + '"'


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(frozen=True)
class Editor:
    """Works out edits of one text."""

    text: str

    def replace(self, entry: Entry, value: str) -> Edit:
        """Give the key of `entry` another scalar."""
        use = entry.value
        if use.start == use.end:
            at = self._after_colon(entry)
            return Edit(at, at, " " + quoted(value))
        tail = self._newline if use.node.style in ("|", ">") and not use.alias else ""
        return Edit(self._at(use.start), self._at(use.end), quoted(value) + tail)

    def insert(self, site: Site, node: str, values: Mapping[str, str]) -> list[Edit]:
        """Put `values` beside the node of `site`. ValueError where there is no way that disturbs nothing."""
        flow = "{" + _pairs(values) + "}"
        if site.entry is None:
            start, end = self._span(site.hosts.value)
            return [Edit(start, end, "{" + self.text[start:end] + ": " + flow + "}")]
        if site.ranged:
            return [self._beside_range(site, site.entry, node, values)]
        use = site.entry.value
        if use.alias:
            start, end = self._span(use)
            merged = f"{{<<: {self.text[start:end]}, {_pairs(values)}}}"
            return [Edit(start, end, merged if use.node.entries else flow)]
        if use.node.value is None:
            return self._into_nothing(site, site.entry, values)
        return [self._into_flow(use, values) if use.node.style == "flow" else self._into_block(use, values)]

    def _into_nothing(self, site: Site, entry: Entry, values: Mapping[str, str]) -> list[Edit]:
        use = entry.value
        written = use.start != use.end
        if site.in_flow:
            if written:
                return [Edit(*self._span(use), "{" + _pairs(values) + "}")]
            at = self._after_colon(entry)
            colon = "" if self.text[at - 1] == ":" else ":"
            return [Edit(at, at, f"{colon} {{{_pairs(values)}}}")]
        at = self._after_colon(entry)
        cut = [Edit(at, self._at(use.end), "")] if written else []
        return [*cut, self._lines(self._next_line(entry.key.end), site.indent + site.step, values)]

    def _into_flow(self, use: Use, values: Mapping[str, str]) -> Edit:
        own = own_entries(use)
        if own and own[-1].value.start != own[-1].value.end:
            at = self._at(own[-1].value.end)
            return Edit(at, at, ", " + _pairs(values))
        at = self.text.index("{", self._at(use.start)) + 1
        following = _BLANK.match(self.text, at)
        empty = following is not None and self.text[following.end() : following.end() + 1] == "}"
        return Edit(at, at, _pairs(values) + ("" if empty else ", "))

    def _into_block(self, use: Use, values: Mapping[str, str]) -> Edit:
        own = own_entries(use)
        start = use.node.start
        first = next((entry.key.start for entry in own), start)
        at = self._end_of_entry(own[-1]) if own else self._at(start) - (start.column - 1)
        return self._lines(at, first.column - 1, values)

    def _beside_range(self, site: Site, ranged: Entry, node: str, values: Mapping[str, str]) -> Edit:
        names = expand(str(ranged.key.node.value))
        after = ranged
        for entry in own_entries(site.hosts.value):
            if entry.key.start > after.key.start and entry.key.node.value in names:
                after = entry
        if site.in_flow:
            use = after.value
            at = self._at(use.end) if use.start != use.end else self._after_colon(after)
            return Edit(at, at, f", {_key(node)}: {{{_pairs(values)}}}")
        head = " " * site.indent + _key(node) + ":" + self._newline
        return self._lines(self._end_of_entry(after), site.indent + site.step, values, head=head)

    def _lines(self, at: int, indent: int, values: Mapping[str, str], *, head: str = "") -> Edit:
        """Whole lines at the start of a line, or at the end of a text that ends without one."""
        lines = head + "".join(f"{' ' * indent}{key}: {quoted(value)}{self._newline}" for key, value in values.items())
        if at and not _BREAK.fullmatch(self.text[at - 1]):
            lines = self._newline + lines.removesuffix(self._newline)
        return Edit(at, at, lines)

    def _end_of_entry(self, entry: Entry) -> int:
        """The start of the line after everything that belongs to `entry`."""
        return self._end_of(entry.value, self._next_line(entry.key.end))

    def _end_of(self, use: Use, empty: int) -> int:
        node = use.node
        if use.start == use.end:
            return empty
        if use.alias or (not node.value and not node.style) or node.style in ("", "'", '"', "flow"):
            return self._next_line(use.end)
        if node.style in ("|", ">"):
            return self._at(use.end) if use.end.column == 1 else self._next_line(use.end)
        if node.items:
            return self._end_of(node.items[-1], self._next_line(node.items[-1].start))
        own = own_entries(use)
        if not own:
            raise ValueError("a block of merges only")
        return self._end_of_entry(own[-1])

    def _after_colon(self, entry: Entry) -> int:
        """Behind the key's colon; behind the key itself where it has none (`{a, b}`)."""
        at = self._at(entry.key.end)
        colon = re.compile(r"[ \t]*:").match(self.text, at)
        return colon.end() if colon else at

    def _next_line(self, mark: Mark) -> int:
        found = _BREAK.search(self.text, self._at(mark))
        return found.end() if found else len(self.text)

    def _span(self, use: Use) -> tuple[int, int]:
        return self._at(use.start), self._at(use.end)

    def _at(self, mark: Mark) -> int:
        start = 0
        for number, found in enumerate(_BREAK.finditer(self.text), 2):
            if number > mark.line:
                break
            start = found.end()
        return start + mark.column - 1

    @property
    def _newline(self) -> str:
        found = re.search("\r\n|\n", self.text)
        return found[0] if found else "\n"


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {quoted(value)}" for key, value in values.items())


def _key(name: str) -> str:
    """A node's name as a key: in quotes where YAML would read it as a number or a boolean."""
    plain: Any = yaml.safe_load(name)
    return name if plain == name else quoted(name)
