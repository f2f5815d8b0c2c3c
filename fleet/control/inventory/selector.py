"""`--on 'mlx,!mini-3,@canary,mem_gb>=64'`: which nodes are meant. Pure.

    NAME          a node or a group; globs (mini-*) and ranges (mini-[1:3]) as well; `all`
    @TAG          nodes whose variable `tags` has it; globs as well
    KEY OP VALUE  a fact or variable compared: = != < <= > >=; with = and != VALUE may be a glob
    !TERM         without these
    &TERM         only those that are also these

The terms between commas without a mark are joined (all nodes when there is none), then cut by every `&`, then `!` is
taken away: their order means nothing. The answer is in file order. What is unknown of a node equals nothing.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.node import Group, Node
from fleet.control.inventory.ranges import BadRange, expand
from fleet.errors import UsageError
from fleet.vocabulary.names import GroupName, NodeName
from fleet.vocabulary.units import GIB

if TYPE_CHECKING:
    from fleet.vocabulary.contracts.sync import Facts

_COMPARISON = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)\s*(!=|<=|>=|=|<|>)\s*(.*)", re.ASCII | re.DOTALL)
_ORDER: Mapping[str, Callable[[tuple[float, ...], tuple[float, ...]], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Selection:
    """What there is to select from."""

    nodes: Mapping[NodeName, Node]
    groups: Mapping[GroupName, Group]
    facts: Mapping[NodeName, Facts]

    def select(self, expression: str | None) -> tuple[Node, ...]:
        """The nodes that `expression` means, in file order; every node for None. Raises UsageError."""
        if expression is None:
            return tuple(self.nodes.values())
        terms = [term.strip() for term in expression.split(",")]
        if not all(terms):
            raise UsageError(f"--on {expression!r}: a term is empty", hint="like --on 'mlx,!mini-3'")
        plus = [self._term(term) for term in terms if term[0] not in "!&"]
        only = [self._term(term[1:].strip()) for term in terms if term[0] == "&"]
        minus = [self._term(term[1:].strip()) for term in terms if term[0] == "!"]
        found = frozenset().union(*plus) if plus else frozenset(self.nodes)
        found = found.intersection(*only).difference(*minus)
        return tuple(node for name, node in self.nodes.items() if name in found)

    def _term(self, term: str) -> frozenset[NodeName]:
        if comparison := _COMPARISON.fullmatch(term):
            return self._compared(*comparison.groups())
        if term.startswith("@"):
            return self._tagged(term[1:])
        if re.search(r"\[[^]]*:[^]]*\]", term):
            try:
                names = expand(term)
            except BadRange as problem:
                raise UsageError(f"{term}: bad range: {problem}", hint="like mini-[1:3]") from None
            return frozenset().union(*(self._named(name) for name in names))
        return self._named(term)

    def _named(self, name: str) -> frozenset[NodeName]:
        known = [*self.nodes, *self.groups]
        found: set[NodeName] = set()
        matched = [word for word in known if word == name] or [word for word in known if fnmatchcase(word, name)]
        for word in matched:
            group = self.groups.get(GroupName(word))
            found.update(group.nodes if group else [NodeName(word)])
        if not matched:
            hint = did_you_mean(name, known) or f"there are: {_some(known)}"
            if "&" in name:
                hint = "an intersection is written with a comma: mlx,&canary"
            raise UsageError(f"no node or group is called {name!r}" if name else "a name is missing", hint=hint)
        return frozenset(found)

    def _tagged(self, tag: str) -> frozenset[NodeName]:
        found = frozenset(name for name, node in self.nodes.items() if any(fnmatchcase(t, tag) for t in node.tags))
        if not found:
            known = sorted({t for node in self.nodes.values() for t in node.tags})
            hint = did_you_mean(tag, known) or (f"there are: {_some(known)}" if known else "tags: [canary] gives one")
            raise UsageError(f"no node has the tag {tag!r}", hint=hint)
        return found

    def _compared(self, key: str, sign: str, wanted: str) -> frozenset[NodeName]:
        values = {name: self._values(node) for name, node in self.nodes.items()}
        known = {word for found in values.values() for word in found} | set(_fact_words(None))
        if key not in known:
            hint = did_you_mean(key, known) or "fleet inventory explain NODE VAR shows what a node has"
            raise UsageError(f"no node has a fact or variable {key!r}", hint=hint)
        if not any(found.get(key) is not None for found in values.values()):
            raise UsageError(f"{key} is not known of any node yet", hint="a first plan or status asks the nodes")
        return frozenset(name for name, found in values.items() if _compare(found.get(key), sign, wanted.strip()))

    def _values(self, node: Node) -> dict[str, object]:
        """What a node's keys are: its variables, and over them what the node says of itself."""
        said = _fact_words(self.facts.get(node.name))
        planned = node.settings.memory_gb
        known = {"mem_gb": planned} if planned is not None else {}
        return {**node.variables, **known, **{word: value for word, value in said.items() if value is not None}}


def _fact_words(said: Facts | None) -> dict[str, object]:
    """Every word for a fact, None where the node has not said it."""
    from fleet.vocabulary.contracts.sync import Facts

    facts = said or Facts()
    words: dict[str, object] = asdict(facts)
    words["mem_gb"] = words["memory_gb"] = facts.memory_bytes / GIB if facts.memory_bytes is not None else None
    words["disk_free_gb"] = facts.disk_free_bytes / GIB if facts.disk_free_bytes is not None else None
    return words


def _compare(value: object, sign: str, wanted: str) -> bool:
    if value is None or isinstance(value, dict):
        return False
    if isinstance(value, list):
        found = [_compare(item, "=" if sign == "!=" else sign, wanted) for item in value]
        return not any(found) if sign == "!=" else any(found)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    as_version = isinstance(value, str)
    left, right = _ordered(text, as_version=as_version), _ordered(wanted, as_version=as_version)
    if sign in ("=", "!="):
        equal = left == right if left and right else fnmatchcase(text, wanted)
        return equal == (sign == "=")
    return bool(left and right and _ORDER[sign](left, right))


def _ordered(text: str, *, as_version: bool) -> tuple[float, ...] | None:
    """A number, or a version like `15.10.1` (after 15.9), as something that has an order; None for the rest."""
    pattern = r"\d+(\.\d+)*" if as_version else r"-?\d+(\.\d+)?"
    if not re.fullmatch(pattern, text, re.ASCII):
        return None
    return tuple(float(part) for part in text.split(".")) if as_version else (float(text),)


def _some(words: list[str]) -> str:
    return ", ".join(words[:8]) + (", …" if len(words) > 8 else "")
