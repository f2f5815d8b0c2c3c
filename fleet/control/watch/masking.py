"""Texts that others wrote, without the secrets in them: what a service logs may hold a key. Pure."""

from __future__ import annotations

import re
from functools import cache

from fleet.traffic.sensitivity.rules import FLEET_RULES, Kind, Rule, found_by, valid

MASK = "***"
_SECRETS = tuple(rule for rule in FLEET_RULES if rule.kind in (Kind.CREDENTIAL, Kind.PRIVATE_KEY))
_NEAR = frozenset(word for rule in _SECRETS for word in rule.near)
_REST = re.compile(r"[A-Za-z0-9_+/=.~-]*")


def masked(text: str) -> str:
    """`text` with every credential that the sensitivity rules know as ***, to its end. Idempotent."""
    lowered = text.lower()
    if not any(word in lowered for word in _NEAR):
        return text
    for rule in _SECRETS:
        if any(word in lowered for word in rule.near):
            text = _without(text, rule)
    return text


def masked_values(value: object) -> object:
    """The same for every text in a document of dicts, lists and plain values."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: masked_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked_values(one) for one in value]
    return value


def _without(text: str, rule: Rule) -> str:
    """Rules find how a secret begins: what goes on without a break belongs to it."""
    pattern = _pattern(rule)
    if not valid(rule, found_by(pattern, text, 0, len(text))):
        return text
    parts, at = [], 0
    for found in pattern.finditer(text):
        group = 1 if pattern.groups else 0
        start, end = found.span(group)
        if start < at or not valid(rule, [found[group].encode(errors="replace")]):
            continue
        rest = _REST.match(text, end)
        parts += [text[at:start], MASK]
        at = rest.end() if rest else end
    return "".join([*parts, text[at:]])


@cache
def _pattern(rule: Rule) -> re.Pattern[str]:
    return re.compile(rule.pattern, re.ASCII)
