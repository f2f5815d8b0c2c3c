"""The tools of a Responses request, as chat's functions, and the way back from a called name. Pure.

A `custom` tool takes free text: chat gets a function with one string. A `namespace` groups tools: chat gets them with
the namespace before the name. Hosted tools (web_search, file_search, local_shell, …) are OpenAI's to run: they go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

_FREE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input of the tool, as plain text."}},
    "required": ["input"],
    "additionalProperties": False,
}


class Tool(msgspec.Struct, frozen=True):
    """A tool as the client knows it."""

    name: str
    namespace: str | None = None
    custom: bool = False


class Toolbox:
    """The tools of one request. `functions` is what chat is offered."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.functions: list[dict[str, Any]] = []
        self._by_name: dict[str, Tool] = {}
        for tool, spec in _tools(body):
            self._offer(tool, spec)

    def called(self, name: str) -> Tool:
        """The tool that chat calls by `name`; an unknown one is a function of that name."""
        return self._by_name.get(name) or Tool(name)

    def chosen(self, choice: Any) -> Any:
        """Chat's `tool_choice`, or None where it says nothing that chat can say. May leave fewer `functions`."""
        if isinstance(choice, str):
            return choice if choice in ("auto", "none", "required") else None
        if not isinstance(choice, dict):
            return None
        if choice.get("type") == "allowed_tools":
            self._allow(choice.get("tools"))
            return "required" if choice.get("mode") == "required" else "auto"
        if choice.get("type") in ("function", "custom") and isinstance(choice.get("name"), str):
            return {"type": "function", "function": {"name": chat_name(choice["name"], choice.get("namespace"))}}
        return None

    def _offer(self, tool: Tool, spec: Mapping[str, Any]) -> None:
        name = chat_name(tool.name, tool.namespace)
        if name in self._by_name:
            return
        self._by_name[name] = tool
        function: dict[str, Any] = {"name": name}
        description = _description(spec) if tool.custom else spec.get("description")
        if description:
            function["description"] = description
        if tool.custom:
            function["parameters"] = _FREE_TEXT
        else:
            function["parameters"] = spec.get("parameters") or {"type": "object", "properties": {}}
            if isinstance(spec.get("strict"), bool):
                function["strict"] = spec["strict"]
        self.functions.append({"type": "function", "function": function})

    def _allow(self, allowed: Any) -> None:
        if isinstance(allowed, list):
            names = {
                chat_name(tool["name"], tool.get("namespace"))
                for tool in allowed
                if isinstance(tool, dict) and isinstance(tool.get("name"), str)
            }
            self.functions = [one for one in self.functions if one["function"]["name"] in names]


def chat_name(name: str, namespace: Any = None) -> str:
    """A tool's name in chat."""
    return f"{namespace}__{name}" if isinstance(namespace, str) and namespace else name


def free_text(arguments: str) -> str:
    """The input of a custom tool out of its function's arguments; arguments of another form are the input."""
    try:
        said = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return arguments
    if isinstance(said, dict) and isinstance(said.get("input"), str):
        return str(said["input"])
    return arguments


def as_arguments(free: str) -> str:
    """The arguments of a custom tool's function, for its input."""
    return msgspec.json.encode({"input": free}).decode()


def _tools(body: Mapping[str, Any]) -> Iterator[tuple[Tool, Mapping[str, Any]]]:
    yield from _of(body.get("tools"), None)
    items = body.get("input")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("type") == "additional_tools":  # tools that came mid-conversation
            yield from _of(item.get("tools"), None)


def _of(tools: Any, namespace: str | None) -> Iterable[tuple[Tool, Mapping[str, Any]]]:
    for spec in tools if isinstance(tools, list) else ():
        if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
            continue
        if spec.get("type") in ("function", "custom"):
            yield Tool(spec["name"], namespace, spec["type"] == "custom"), spec
        elif spec.get("type") == "namespace" and namespace is None:
            yield from _of(spec.get("tools"), spec["name"])


def _description(spec: Mapping[str, Any]) -> str:
    """A custom tool's description, with the grammar that its input must follow: chat cannot enforce one."""
    lines = [spec["description"]] if isinstance(spec.get("description"), str) else []
    form = spec.get("format")
    if isinstance(form, dict) and isinstance(form.get("definition"), str):
        lines.append(f"The input must follow this {form.get('syntax') or ''} grammar:\n{form['definition']}")
    return "\n\n".join(lines)
