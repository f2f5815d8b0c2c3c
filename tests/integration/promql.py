"""Every PromQL that fleet ships: of its dashboard and of its rules."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import msgspec
import yaml

from fleet.node.agent.metrics import render
from fleet.vocabulary.contracts.snapshot import Snapshot

_VARIABLES = {"$__rate_interval": "1m", "$__interval": "15s", "$node": ".*"}


def dashboard_queries() -> list[str]:
    """Of every panel and every variable, as Grafana would send them."""
    board = json.loads(shipped("dashboard.json"))
    panels = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked = [one["definition"] for one in board["templating"]["list"] if one["type"] == "query"]
    inner = [re.fullmatch(r"label_values\((.*), \w+\)", text) for text in asked]
    return [_filled(text) for text in (*panels, *(match[1] for match in inner if match))]


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    return [rule for group in yaml.safe_load(shipped("fleet.rules.yml"))["groups"] for rule in group["rules"]]


def rule_queries() -> list[str]:
    """Of every rule."""
    return [str(rule["expr"]) for rule in rules()]


def shipped(name: str) -> str:
    """A file of the package."""
    return files("fleet.control.watch").joinpath(name).read_text()


def metric_names(query: str) -> Iterator[str]:
    """The series that a query asks for."""
    without_texts = re.sub(r'"[^"]*"', '""', query)
    yield from re.findall(r"\b(?:fleet|process)_[a-z0-9_]+", without_texts)


def agent_series() -> frozenset[str]:
    """Every series that an agent can have: of a snapshot in which everything is known."""
    text = render(_whole(Snapshot)).decode()
    return frozenset(re.findall(r"^([a-z][a-z0-9_]*)[ {]", text, re.MULTILINE))


def _whole(kind: Any) -> Any:
    """A value of a type, with everything in it that may be there."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return _whole(next(one for one in typing.get_args(kind) if one is not type(None)))
    if typing.get_origin(kind) is tuple:
        return (_whole(typing.get_args(kind)[0]),)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: _whole(hints[field.name]) for field in msgspec.structs.fields(kind)})
    return {bool: True, int: 1, float: 1.0, str: "1"}[kind]


def _filled(text: str) -> str:
    for name, value in _VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text, text
    return text
