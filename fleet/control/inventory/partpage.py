"""A YAML text on which one part is edited: which characters belong to it. Pure.

Comments, quotes, blank lines and everything else stay; a comment on the line of what goes, goes with it. Whoever uses
it reads the new text and looks whether it says what was meant.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, assert_never

import yaml

from fleet.control.inventory.insertion import quoted
from fleet.control.inventory.partedit import Append, CannotEdit, Drop, Number, Order, PartEdit, Put, dotted
from fleet.control.inventory.sites import own_entries
from fleet.control.inventory.yamlsource import KeyPath
from fleet.control.inventory.yamltree import Entry, Mark, Use, YamlNode

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_BARE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_AFTER = re.compile(r"[ \t]*(,?)([ \t]*(?:#[^\n\r]*)?)(?=\r\n|[\n\r]|$)")


class Page:
    """One text and its tree."""

    def __init__(self, text: str, name: str, root: YamlNode) -> None:
        self._text = text
        self._name = name
        self._root = root
        self._starts = [0, *(found.end() for found in _BREAK.finditer(text))]

    def place(self, path: KeyPath) -> str:
        """`file:line:column` of what is at `path`, for messages."""
        try:
            use, entry, _ = self._walk(path)
        except CannotEdit:
            return self._name
        mark = entry.key.start if entry is not None else use.start
        return f"{self._name}:{mark.line}:{mark.column}"

    def after(self, edit: PartEdit) -> str:
        """The text with the edit. Raises CannotEdit."""
        use, entry, above = self._walk(edit.path)
        match edit:
            case Order(items=items):
                return self._reordered(use, items)
            case Drop():
                return self._without_entry(above, entry) if entry is not None else self._without_item(above, use)
            case Put(key=key, value=value):
                return self._with_pair(use, f"{_scalar(key)}: {_scalar(value)}")
            case Append(item=item):
                return self._with_item(use, _scalar(item))
            case Number(text=text):
                return self._text[: self._at(use.start)] + text + self._text[self._at(use.end) :]
            case _:
                assert_never(edit)

    def _walk(self, path: KeyPath) -> tuple[Use, Entry | None, Use]:
        """What is at `path`, its entry when it is a key's, and what holds it. Nothing shared is walked through."""
        use = above = Use(self._root, self._root.start, self._root.end)
        entry: Entry | None = None
        for step in path:
            above, entry = use, None
            if step in use.node.entries:
                entry = use.node.entries[step]
                use = entry.value
            elif isinstance(step, int) and 0 <= step < len(use.node.items):
                use = use.node.items[step]
            else:
                raise CannotEdit(f"{dotted(path)} is not there")
            if use.alias or (entry is not None and entry.merged):
                mark = use.start
                raise CannotEdit(f"{self._name}:{mark.line}:{mark.column}: it is written elsewhere too (an alias)")
        return use, entry, above

    def _reordered(self, use: Use, items: tuple[str, ...]) -> str:
        order = [[one.node.value for one in use.node.items].index(value) for value in items]
        if order == sorted(order):
            return self._text
        return self._permuted(self._flow_pieces(use) if use.node.style == "flow" else self._block_pieces(use), order)

    def _permuted(self, pieces: Sequence[tuple[tuple[int, int], ...]], order: Sequence[int]) -> str:
        """Each item is some spans; item n of the new order is written into the spans of the n-th."""
        edits = []
        for at, of in enumerate(order):
            for (start, end), (from_start, from_end) in zip(pieces[at], pieces[of], strict=True):
                edits.append((start, end, self._text[from_start:from_end]))
        text = self._text
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _flow_pieces(self, use: Use) -> list[tuple[tuple[int, int], ...]]:
        """Of each item its text, and the comment behind it where every item has a line of its own."""
        spans = [(self._at(one.start), self._at(one.end)) for one in use.node.items]
        comments = []
        for start, end in spans:
            after = _AFTER.match(self._text, end)
            if after is None or self._text[self._line(start) : start].strip():
                return [(span,) for span in spans]
            comments.append(after.span(2))
        return list(zip(spans, comments, strict=True))

    def _block_pieces(self, use: Use) -> list[tuple[tuple[int, int], ...]]:
        """Of each item its lines, with the comments right above it."""
        items = use.node.items
        ends = [self._content_end(self._tail(one)) for one in items]
        begins = []
        for at, one in enumerate(items):
            begin = self._line(self._at(one.start))
            if self._text[begin : self._at(one.start)].strip() != "-":
                raise CannotEdit(f"{self._name}:{one.start.line}: two things are on this line")
            least = self._next(ends[at - 1]) if at else begin
            while begin > least and self._text[self._line(begin - 1) : begin].lstrip().startswith("#"):
                begin = self._line(begin - 1)
            begins.append(begin)
        return [((begin, end),) for begin, end in zip(begins, ends, strict=True)]

    def _without_item(self, above: Use, use: Use) -> str:
        items = above.node.items
        if len(items) < 2:
            raise CannotEdit(f"{self._name}:{use.start.line}: it is the only one in its list")
        start, end, at = self._at(use.start), self._at(use.end), list(items).index(use)
        if above.node.style == "block":
            return self._without_lines(start, self._tail(use), dash=True)
        before = self._at(items[at - 1].end) if at else None
        following = self._at(items[at + 1].start) if at + 1 < len(items) else None
        return self._without_flow(start, end, before, following)

    def _without_entry(self, above: Use, entry: Entry) -> str:
        own = own_entries(above)
        start = self._at(entry.key.start)
        if len(own) < 2:
            raise CannotEdit(f"{self._name}:{entry.key.start.line}: it is the only key there")
        if above.node.style == "block":
            return self._without_lines(start, self._tail(entry.value, entry), dash=False)
        at = own.index(entry)
        before = self._tail(own[at - 1].value, own[at - 1]) if at else None
        following = self._at(own[at + 1].key.start) if at + 1 < len(own) else None
        return self._without_flow(start, self._tail(entry.value, entry), before, following)

    def _without_lines(self, start: int, end: int, *, dash: bool) -> str:
        begin = self._line(start)
        if self._text[begin:start].strip() != ("-" if dash else ""):
            raise CannotEdit(f"{self._name}:{self._number(start)}: two things are on this line")
        return self._text[:begin] + self._text[self._next(end) :]

    def _without_flow(self, start: int, end: int, before: int | None, following: int | None) -> str:
        after = _AFTER.match(self._text, end)
        alone = after is not None and not self._text[self._line(start) : start].strip()
        if alone and (following is not None or before is not None):
            return self._text[: self._line(start)] + self._text[self._next(end) :]
        if following is not None:
            return self._text[:start] + self._text[following:]
        assert before is not None
        between = self._text[before:start]
        cut = start if "#" in between else before
        return self._text[:cut] + self._text[end:]

    def _with_pair(self, use: Use, pair: str) -> str:
        own = own_entries(use)
        if not own:
            if use.node.style != "flow":
                raise CannotEdit(f"{self._name}:{use.start.line}: nothing to write it beside")
            at = self._at(use.start) + 1
            return self._text[:at] + pair + self._text[at:]
        last = own[-1]
        first, end = self._at(last.key.start), self._tail(last.value, last)
        return self._added(use, pair, first, end, own[0].key.start.column - 1)

    def _with_item(self, use: Use, item: str) -> str:
        last = use.node.items[-1]
        if use.node.style == "flow":
            return self._added(use, item, self._at(last.start), self._at(last.end), 0)
        start = self._at(last.start)
        indent = len(self._text[self._line(start) : start]) - len(self._text[self._line(start) : start].lstrip())
        return self._added(use, f"- {item}", start, self._tail(last), indent)

    def _added(self, use: Use, new: str, start: int, end: int, indent: int) -> str:
        """`new` behind what stands from `start` to `end`, in the way in which that is written."""
        if use.node.style == "block":
            at = self._next(end)
            lead = "" if at and _BREAK.fullmatch(self._text[at - 1]) else self._newline
            line = f"{lead}{' ' * indent}{new}{'' if lead else self._newline}"
            return self._text[:at] + line + self._text[at:]
        after = _AFTER.match(self._text, end)
        margin = self._text[self._line(start) : start]
        if after is None or margin.strip():
            return self._text[:end] + f", {new}" + self._text[end:]
        at = after.end()
        line = f"{self._newline}{margin}{new}{',' if after[1] else ''}"
        return self._text[:end] + ("" if after[1] else ",") + self._text[end:at] + line + self._text[at:]

    def _tail(self, use: Use, entry: Entry | None = None) -> int:
        """Where the last character of a value stands, its comment not counted."""
        node = use.node
        if use.start == use.end:
            return self._at(entry.key.end) if entry is not None else self._at(use.start)
        if not use.alias and node.style == "block":
            if node.items:
                return self._tail(node.items[-1])
            own = own_entries(use)
            return self._tail(own[-1].value, own[-1]) if own else self._at(use.end)
        end = self._at(use.end)
        if node.style in ("|", ">"):
            end -= len(self._text[:end]) - len(self._text[:end].rstrip())
        return end

    def _at(self, mark: Mark) -> int:
        return self._starts[mark.line - 1] + mark.column - 1

    def _line(self, at: int) -> int:
        """Where the line of `at` begins."""
        return self._starts[bisect_right(self._starts, at) - 1]

    def _number(self, at: int) -> int:
        return bisect_right(self._starts, at)

    def _content_end(self, at: int) -> int:
        """Where the line of `at` ends, its line end not counted."""
        found = _BREAK.search(self._text, at)
        return found.start() if found else len(self._text)

    def _next(self, at: int) -> int:
        found = _BREAK.search(self._text, at)
        return found.end() if found else len(self._text)

    @property
    def _newline(self) -> str:
        found = re.search("\r\n|\n", self._text)
        return found[0] if found else "\n"


def _scalar(text: str) -> str:
    plain: Any = yaml.safe_load(text) if _BARE.fullmatch(text) else None
    return text if plain == text else quoted(text)
