"""The tools that a request offers, and whether arguments fit them. Schemas are compiled when a tool is called, once.

A schema is the client's: nothing that it points to is ever fetched, and its patterns run in linear time. One that
cannot be compiled leaves calls of its tool without a score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

Check = Callable[[object], bool]
"""Whether arguments, a JSON object, fit."""

_ENCODE = msgspec.json.Encoder(order="deterministic").encode
_LONGEST_SCHEMA_BYTES = 256 * 1024
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """Tools by name, with the schema of each (None: it has none, anything fits; free: it takes text, not JSON).

    `required`: a tool must be called; `named`: this one.
    """

    schemas: Mapping[str, object]
    free: frozenset[str] = frozenset()
    required: bool = False
    named: str | None = None


def offered_of(request: Mapping[str, Any]) -> Offered | None:
    """What `request`, in OpenAI's chat words, offers; None when that is nothing. Total: what is no tool is left out."""
    tools = request.get("tools") or request.get("functions")
    if not isinstance(tools, list):
        return None
    schemas: dict[str, object] = {}
    free: set[str] = set()
    for tool in tools:
        if not isinstance(tool, dict):
            continue
        custom = tool.get("custom")
        function = tool.get("function", custom if isinstance(custom, dict) else tool)
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str) and name:
            schemas[name] = function.get("parameters")
            if function is custom:
                free.add(name)
    if not schemas:
        return None
    choice = request.get("tool_choice", request.get("function_call"))
    required, named = _demanded(choice)
    return Offered(schemas=schemas, free=frozenset(free), required=required, named=named)


class Schemas:
    """Compiled schemas by their digest, the latest used ones. One per process; not for several threads."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._most = remembered
        self._checks: dict[bytes, Check | None] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._checks)

    def check(self, schema: object) -> Check | None:
        """What `schema` asks for; None when it cannot be used."""
        if schema is None:
            return _anything
        try:
            text = _ENCODE(schema)
        except (TypeError, ValueError, RecursionError):
            return None
        digest = hashlib.sha256(text).digest()
        known = digest in self._checks
        check = self._checks.pop(digest) if known else _compiled(schema, text)
        self._checks[digest] = check
        if len(self._checks) > self._most:
            del self._checks[next(iter(self._checks))]
        return check


def _compiled(schema: object, text: bytes) -> Check | None:
    if not isinstance(schema, dict | bool) or len(text) > _LONGEST_SCHEMA_BYTES:
        return None
    try:
        import jsonschema_rs
    except ImportError:
        return None
    try:
        validator = jsonschema_rs.validator_for(schema, offline=True, pattern_options=jsonschema_rs.RegexOptions())
    except (ValueError, TypeError, RecursionError, jsonschema_rs.ReferencingError):
        return None

    def fits(arguments: object) -> bool:
        try:
            return validator.is_valid(arguments)
        except ValueError:  # half a letter, or nested beyond reason
            return False

    return fits


def _anything(arguments: object) -> bool:  # noqa: ARG001 (the form of every check)
    return True


def _demanded(choice: object) -> tuple[bool, str | None]:
    """Whether a tool must be called, and which."""
    if isinstance(choice, str):
        return choice in ("required", "any"), None
    if not isinstance(choice, dict):
        return False, None
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, dict):
        return allowed.get("mode") == "required", None
    for inner in (choice.get("function"), choice.get("custom"), choice):
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            return True, inner["name"]
    return False, None
