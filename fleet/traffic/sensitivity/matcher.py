"""All rules over one piece of text: RE2's set in one pass, or Python's `re` where a node has no RE2.

Compiled once and passed in. Both mean the same; RE2 is some ten times as fast, and its time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from fleet.traffic.sensitivity.rules import LONGEST_MATCH, Rule, found_by, valid

_RE2_MEMORY_BYTES = 64 * 1024 * 1024
"""A set whose automaton does not fit tells of no match at all, so it may never be tight."""


class Matcher(Protocol):
    """Finds rules."""

    @property
    def name(self) -> str:
        """For people: `re2` or `re`."""
        ...

    def hits(self, piece: str, data: bytes) -> list[Rule]:
        """The rules that find enough in `piece`; `data` is the same as UTF-8."""
        ...


class StdlibMatcher:
    """Every rule on its own, around its literals."""

    name = "re"

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(rule, re.compile(rule.pattern, re.ASCII), re.compile(rule.gate)) for rule in rules]

    def hits(self, piece: str, data: bytes) -> list[Rule]:  # noqa: ARG002 (the form of every matcher)
        """See Matcher."""
        lowered = piece.lower()
        if len(lowered) != len(piece):  # some capitals become two letters: places in one are none in the other
            lowered = ""
        hits = []
        for rule, pattern, gate in self._rules:
            found: list[bytes] = []
            if rule.gate and not gate.search(piece):
                continue
            for start, end in _windows(lowered, rule.near) if lowered else [(0, len(piece))]:
                found += found_by(pattern, piece, start, end)
            if len(valid(rule, found)) >= rule.least:
                hits.append(rule)
        return hits


class Re2Matcher:
    """One pass says which rules could find something; those few are then asked what."""

    name = "re2"

    def __init__(self, rules: Sequence[Rule], re2: Any) -> None:
        options = re2.Options()
        options.max_mem = _RE2_MEMORY_BYTES
        options.log_errors = False
        self._set = re2.Set.SearchSet(options)
        for rule in rules:
            self._set.Add(rule.pattern)
        self._set.Compile()
        self._rules = [(rule, re2.compile(rule.pattern.encode(), options)) for rule in rules]

    def hits(self, piece: str, data: bytes) -> list[Rule]:  # noqa: ARG002 (the form of every matcher)
        """See Matcher."""
        hits = []
        for at in sorted(self._set.Match(data) or ()):
            rule, pattern = self._rules[at]
            group = min(pattern.groups, 1)
            if len(valid(rule, (match[group] or b"" for match in pattern.finditer(data)))) >= rule.least:
                hits.append(rule)
        return hits


def matcher_of(rules: Sequence[Rule]) -> Matcher:
    """The fastest that this machine has."""
    try:
        import re2
    except ImportError:
        return StdlibMatcher(rules)
    return Re2Matcher(rules, re2)


def _windows(lowered: str, literals: Sequence[str]) -> list[tuple[int, int]]:
    """Where a match may be that has one of `literals` in it; everywhere when there are none."""
    if not literals:
        return [(0, len(lowered))]
    windows: list[tuple[int, int]] = []
    for at in sorted(_places(lowered, literals)):
        start, end = max(at - LONGEST_MATCH, 0), min(at + LONGEST_MATCH, len(lowered))
        if windows and start <= windows[-1][1]:
            start = windows.pop()[0]
        windows.append((start, end))
    return windows


def _places(lowered: str, literals: Sequence[str]) -> Iterator[int]:
    for literal in literals:
        at = lowered.find(literal)
        while at >= 0:
            yield at
            at = lowered.find(literal, at + 1)
