"""YAML text -> a tree of nodes that know their places. Every limit and every bad input ends in one ConfigError.

Scalars mean what Ansible reads (PyYAML's YAML 1.1: `no` is false, `010` is 8): one file feeds both. Merge keys `<<`
work as in PyYAML. Duplicate keys, tags of other languages and anchors that hold themselves are errors.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml

from fleet.control.inventory.yamlproblem import explain_problem
from fleet.errors import ConfigError

MAX_NODES = 500_000
MAX_DEPTH = 60

_STR = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_SCALAR_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "timestamp"))


class Mark(NamedTuple):
    """A place in the text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A node where it is used: where it was written, or through an alias."""

    node: YamlNode
    start: Mark
    end: Mark
    alias: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One key of a mapping and its value. `merged` entries came through `<<`."""

    key: Use
    value: Use
    merged: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class YamlNode:
    """A scalar, sequence or mapping. `value` is its plain data, `weight` how many nodes it is with aliases expanded.

    `style` is `block` or `flow` for collections; empty, a quote, `|`, `>` or `<<` for scalars, whose text is `text`.
    """

    value: Any
    style: str
    start: Mark
    end: Mark
    text: str = ""
    entries: Mapping[Hashable, Entry] = field(default_factory=dict)
    items: tuple[Use, ...] = ()
    weight: int = 1


def compose(text: str, *, name: str, error: type[ConfigError]) -> YamlNode | None:
    """The tree of `text`, a file called `name`; None when there is nothing in it. Raises `error`."""
    return _Composer(text, name, error).document()


class _Composer:
    """One pass over the parser's events. The C parser reads; where it fails, the Python one words the error."""

    def __init__(self, text: str, name: str, error: type[ConfigError]) -> None:
        self._text = text
        self._name = name
        self._error = error
        self._anchors: dict[str, YamlNode | None] = {}
        self._count = 0
        self._resolver = yaml.resolver.Resolver()
        self._constructor = yaml.constructor.SafeConstructor()

    def fail(self, mark: Mark, title: str, *, hint: str = "", detail: str = "") -> NoReturn:
        place = f"{self._name}:{mark.line}:{mark.column}"
        shown = source_line(self._text, mark)
        raise self._error(title, place=place, detail="\n".join(part for part in (shown, detail) if part), hint=hint)

    def document(self) -> YamlNode | None:
        root: YamlNode | None = None
        events = self._events()
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self.fail(_mark(event.start_mark), "a second YAML document begins", hint="keep one document a file")
                root = self._use(next(events), events, 0).node
        return root

    def _events(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self._text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as first:
            problem = first
            try:
                for _ in yaml.parse(self._text, Loader=yaml.SafeLoader):
                    pass
            except yaml.YAMLError as second:
                problem = second
            told = explain_problem(problem, self._text)
            self.fail(Mark(told.line, told.column), told.title, detail=told.detail, hint=told.hint)

    def _use(self, event: Any, events: Iterator[Any], depth: int, *, as_key: bool = False) -> Use:
        start, end = _mark(event.start_mark), _mark(event.end_mark)
        self._grow(1, start)
        if depth > MAX_DEPTH:
            self.fail(start, f"nested deeper than {MAX_DEPTH} levels", hint="is this the right file?")
        if isinstance(event, yaml.AliasEvent):
            return Use(self._aliased(event.anchor, start), start, end, alias=True)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, start, end, as_key=as_key)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, events, depth)
        else:
            node = self._mapping(event, events, depth)
        if node.weight > MAX_NODES:
            self._too_big(start)
        if event.anchor:
            self._anchors[event.anchor] = node
        return Use(node, start, node.end)

    def _grow(self, more: int, mark: Mark) -> None:
        self._count += more
        if self._count > MAX_NODES:
            self._too_big(mark)

    def _too_big(self, mark: Mark) -> NoReturn:
        self.fail(mark, f"more than {MAX_NODES:,} values, aliases expanded", hint="an alias of aliases multiplies")

    def _aliased(self, anchor: str | None, mark: Mark) -> YamlNode:
        if anchor is None or anchor not in self._anchors:
            known = ", ".join(f"&{name}" for name in self._anchors) or "none"
            self.fail(mark, f"*{anchor} refers to no anchor above it", hint=f"anchors so far: {known}")
        node = self._anchors[anchor]
        if node is None:
            self.fail(mark, f"*{anchor} is inside its own anchor", hint="an alias stands below what it repeats")
        return node

    def _scalar(self, event: Any, start: Mark, end: Mark, *, as_key: bool) -> YamlNode:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
        style = event.style or ""
        if tag == _MERGE and as_key:
            return YamlNode(event.value, "<<", start, end, text=event.value)
        if tag == _STR:
            return YamlNode(event.value, style, start, end, text=event.value)
        if tag not in _SCALAR_TAGS:
            self._foreign(tag, start)
        try:
            value = self._constructor.construct_object(yaml.ScalarNode(tag, event.value))
        except (ValueError, KeyError, OverflowError, yaml.YAMLError):
            shown = event.value if len(event.value) <= 40 else event.value[:39] + "…"
            self.fail(
                start, f"{shown!r} is no {tag.rpartition(':')[2]}", hint="put it in quotes if it is meant as text"
            )
        return YamlNode(value, style, start, end, text=event.value)

    def _foreign(self, tag: str, mark: Mark) -> NoReturn:
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        if tag.startswith("!vault"):
            self.fail(
                mark,
                "a value of Ansible Vault, which fleet cannot open",
                hint="fleet takes secrets by reference: env:NAME or file:PATH",
            )
        self.fail(mark, f"the tag {shown} is not read here", hint="write plain text, numbers, lists and mappings")

    def _sequence(self, event: Any, events: Iterator[Any], depth: int) -> YamlNode:
        start = _mark(event.start_mark)
        if event.tag not in (None, "!", "tag:yaml.org,2002:seq"):
            self._foreign(event.tag, start)
        items: list[Use] = []
        for item in events:
            if isinstance(item, yaml.SequenceEndEvent):
                break
            items.append(self._use(item, events, depth + 1))
        return YamlNode(
            [item.node.value for item in items],
            "flow" if event.flow_style else "block",
            start,
            _mark(item.end_mark),
            items=tuple(items),
            weight=1 + sum(item.node.weight for item in items),
        )

    def _mapping(self, event: Any, events: Iterator[Any], depth: int) -> YamlNode:
        start = _mark(event.start_mark)
        if event.tag not in (None, "!", "tag:yaml.org,2002:map"):
            self._foreign(event.tag, start)
        own: dict[Hashable, Entry] = {}
        merged: dict[Hashable, Entry] = {}
        merge: Use | None = None
        for item in events:
            if isinstance(item, yaml.MappingEndEvent):
                break
            key = self._use(item, events, depth + 1, as_key=True)
            value = self._use(next(events), events, depth + 1)
            if key.node.style == "<<" and not key.alias:
                if merge is not None:
                    self._duplicate("<<", merge.start, key.start)
                merge, merged = key, self._merge(value)
                continue
            word = self._hashable(key)
            if word in own:
                self._duplicate(word, own[word].key.start, key.start)
            own[word] = Entry(key, value)
        entries = {**merged, **own}
        return YamlNode(
            {word: entry.value.node.value for word, entry in entries.items()},
            "flow" if event.flow_style else "block",
            start,
            _mark(item.end_mark),
            entries=entries,
            weight=1 + sum(1 + entry.value.node.weight for entry in entries.values()),
        )

    def _merge(self, value: Use) -> dict[Hashable, Entry]:
        """The entries that `<<` brings: of several mappings the earlier wins, as in PyYAML."""
        sources = value.node.items or (value,)
        found: dict[Hashable, Entry] = {}
        for source in reversed(sources):
            if not isinstance(source.node.value, dict):
                self.fail(source.start, "<< takes a mapping or a list of mappings", hint="write <<: *NAME")
            self._grow(len(source.node.entries), source.start)
            found.update((word, Entry(e.key, e.value, merged=True)) for word, e in source.node.entries.items())
        return found

    def _hashable(self, key: Use) -> Hashable:
        value = key.node.value
        if isinstance(value, dict | list):
            shown = "a mapping" if isinstance(value, dict) else "a list"
            hint = "a value that begins with {{ needs quotes" if isinstance(value, dict) else "put the key in quotes"
            self.fail(key.start, f"{shown} where a key is expected", hint=hint)
        assert isinstance(value, Hashable)
        return value

    def _duplicate(self, word: Hashable, first: Mark, second: Mark) -> NoReturn:
        where = f"{self._name}:{first.line}:{first.column}"
        self.fail(second, f"the key {word} is here twice", detail=f"first at {where}", hint="keep one of them")


def source_line(text: str, mark: Mark) -> str:
    """The line of `text` at `mark` with its number, cut to what fits a terminal; empty when there is none."""
    lines = text.splitlines()
    if not 0 < mark.line <= len(lines) or not lines[mark.line - 1].strip():
        return ""
    line = lines[mark.line - 1].replace("\t", "\N{RIGHTWARDS ARROW}   ")
    return f"{mark.line} | {line if len(line) <= 100 else line[:99] + '…'}"


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)
