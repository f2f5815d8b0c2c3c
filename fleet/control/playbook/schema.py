"""The JSON Schema of a playbook, for editors. Made from the structs that the validator uses. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.control.playbook.convert import NOT_YET
from fleet.control.playbook.facts import FACT_NAMES
from fleet.control.playbook.health import CHECKS
from fleet.control.playbook.loader import TASK_KEYS
from fleet.control.playbook.predicates import TESTS
from fleet.control.playbook.shapes import Shape
from fleet.control.playbook.strategy import Strategy
from fleet.control.playbook.tasks import KINDS, LATER_KINDS

_TEXT = {"type": "string", "minLength": 1}


def playbook_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) that accepts what the validator accepts, `{{ }}` not yet filled in."""
    kinds = [shape for shapes in KINDS.values() for shape in shapes]
    structs = [*kinds, *CHECKS.values(), *TESTS.values(), Strategy]
    refs, components = msgspec.json.schema_components(structs)
    ref_of = {id(struct): ref for struct, ref in zip(structs, refs, strict=True)}
    for struct in structs:
        if isinstance(struct, type) and issubclass(struct, Shape):
            components[struct.__name__] |= _rules(struct)
    components["FactTest"]["properties"]["fact"] = {"enum": list(FACT_NAMES)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fleet playbook",
        "description": "A list of plays: which nodes, what they should be, how they get there, how it is proved.",
        "type": "array",
        "minItems": 1,
        "items": {"$ref": "#/$defs/Play"},
        "$defs": {
            **{name: _tidy(component) for name, component in components.items()},
            "Play": _play(),
            "Task": _task({kind: [ref_of[id(shape)] for shape in shapes] for kind, shapes in KINDS.items()}),
            "Check": _one_key({name: ref_of[id(check)] for name, check in CHECKS.items()}, "One proof of health."),
            "When": _when([ref_of[id(test)] for test in TESTS.values()]),
        },
    }


def _play() -> dict[str, Any]:
    return {
        "title": "Play",
        "description": "What some nodes should be.",
        "type": "object",
        "properties": {
            "name": _TEXT,
            "hosts": {**_TEXT, "description": "A selector: all, a group, a node, `mlx,!mini-3`, `memory_gb>=64`"},
            "strategy": {"$ref": "#/$defs/Strategy"},
            "tasks": {"type": "array", "items": {"$ref": "#/$defs/Task"}},
            "health": {"type": "array", "items": {"$ref": "#/$defs/Check"}},
            "hooks": _later(),
        },
        "required": ["name", "hosts", "tasks"],
        "additionalProperties": False,
    }


def _task(kinds: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    common: dict[str, Any] = {
        "name": _TEXT,
        "tags": {"type": "array", "items": _TEXT},
        "when": {"$ref": "#/$defs/When"},
        "sensitive": {"type": "boolean", "description": "Its content is never shown"},
    }
    assert tuple(common) == TASK_KEYS
    shapes = {kind: refs[0] if len(refs) == 1 else {"anyOf": refs} for kind, refs in kinds.items()}
    return {
        "title": "Task",
        "description": "One task: exactly one kind.",
        "type": "object",
        "properties": {**common, **shapes, **{kind: _later() for kind in LATER_KINDS}},
        "required": ["name"],
        "oneOf": [{"required": [kind]} for kind in kinds],
        "additionalProperties": False,
    }


def _when(tests: list[dict[str, Any]]) -> dict[str, Any]:
    parts = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/When"}}
    combined = _one_key({"all": parts, "any": parts, "not": {"$ref": "#/$defs/When"}}, "Combined predicates.")
    return {
        "title": "When",
        "description": "A predicate over groups, facts and variables.",
        "oneOf": [*tests, combined],
    }


def _one_key(members: dict[str, dict[str, Any]], description: str) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "properties": members,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }


def _rules(shape: type[Shape]) -> dict[str, Any]:
    names = {field.name: field.encode_name for field in msgspec.structs.fields(shape)}
    rules: dict[str, Any] = {}
    if shape.one_of:
        rules["oneOf"] = [{"required": [names[name]]} for name in shape.one_of]
    if shape.some_of:
        rules["anyOf"] = [{"required": [names[name]]} for name in shape.some_of]
    if shape.together:
        rules["dependentRequired"] = {names[first]: [names[second]] for first, second in shape.together}
    if shape.apart:
        rules["not"] = {"anyOf": [{"required": [names[first], names[second]]} for first, second in shape.apart]}
    return rules


def _later() -> dict[str, Any]:
    return {"not": {}, "description": f"This {NOT_YET}."}


def _tidy(component: dict[str, Any]) -> dict[str, Any]:
    """Docstrings are indented; a description is not."""
    if "description" in component:
        component["description"] = "\n".join(line.strip() for line in component["description"].splitlines())
    return component
