"""A tool call that came as text: the server's parser did not know the model's form. Pure, total."""

from __future__ import annotations

import json
import re
from collections.abc import Collection

_MARKS = re.compile(r"<tool_call>|<\|tool|\[TOOL_CALLS\]|<function=|<｜tool", re.IGNORECASE)
_MOST_OBJECTS = 64
_DECODER = json.JSONDecoder()


def is_leaked(content: str, names: Collection[str]) -> bool:
    """Whether `content` holds a mark of a tool call, or a JSON object whose name is one of the offered `names`."""
    if _MARKS.search(content):
        return True
    if not any(name in content for name in names):
        return False
    at = content.find("{")
    for _ in range(_MOST_OBJECTS):
        if at < 0:
            return False
        try:
            found, end = _DECODER.raw_decode(content, at)
        except (ValueError, RecursionError):
            found, end = None, at + 1
        if isinstance(found, dict) and _names_one(found, names):
            return True
        at = content.find("{", end)
    return False


def _names_one(found: dict[str, object], names: Collection[str]) -> bool:
    inner = found.get("function")
    named = inner.get("name") if isinstance(inner, dict) else found.get("name", inner)
    return isinstance(named, str) and named in names
