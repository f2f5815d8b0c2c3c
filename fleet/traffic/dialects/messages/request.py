"""A Messages request as a chat request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.traffic.dialects.head import kept
from fleet.traffic.dialects.messages.history import history

_SAME = ("model", "max_tokens", "temperature", "top_p", "top_k", "fleet")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = ((4096, "low"), (16384, "medium"))


def chat_request(body: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
    """What chat is asked. Fields that chat does not know go. Raises Refused."""
    request = kept(body, _SAME)
    request["messages"] = history(body.get("system"), body.get("messages"))
    stops = body.get("stop_sequences")
    if isinstance(stops, list) and stops:
        request["stop"] = stops
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("user_id"), str):
        request["user"] = metadata["user_id"]
    if (effort := _effort(body.get("thinking"))) is not None:
        request["reasoning_effort"] = effort
    if (form := _response_format(body.get("output_config"))) is not None:
        request["response_format"] = form
    _add_tools(request, body)
    if stream:
        request["stream"] = True
        request["stream_options"] = {"include_usage": True}
    return request


def thinking_shown(body: Mapping[str, Any]) -> bool:
    """Whether the client asked to see thoughts. One that did not may take the first block for the answer."""
    thinking = body.get("thinking")
    if not isinstance(thinking, dict):
        return False
    return thinking.get("type") in ("enabled", "adaptive", "between_tools") and thinking.get("display") != "omitted"


def _effort(thinking: Any) -> str | None:
    """The effort of a stated budget. Adaptive thinking is the model's own choice: nothing is asked."""
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return None
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int):
        return None
    return next((word for most, word in _EFFORTS if budget <= most), "high")


def _response_format(config: Any) -> dict[str, Any] | None:
    form = config.get("format") if isinstance(config, dict) else None
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": form.get("schema")}}


def _add_tools(request: dict[str, Any], body: Mapping[str, Any]) -> None:
    tools = body.get("tools")
    offered = [_tool(tool) for tool in tools if _is_ours(tool)] if isinstance(tools, list) else []
    if not offered:
        return  # upstreams refuse a choice among no tools
    request["tools"] = offered
    choice = body.get("tool_choice")
    if not isinstance(choice, dict):
        return
    kind = choice.get("type")
    if isinstance(kind, str) and kind in _CHOICES:
        request["tool_choice"] = _CHOICES[kind]
    elif kind == "tool" and isinstance(choice.get("name"), str):
        request["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    if choice.get("disable_parallel_tool_use") is True:
        request["parallel_tool_calls"] = False


def _is_ours(tool: Any) -> bool:
    """Whether the client runs the tool. Those with a dated type (web_search_20250305) are Anthropic's."""
    return isinstance(tool, dict) and isinstance(tool.get("name"), str) and tool.get("type") in (None, "custom")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = {"name": tool["name"]}
    if isinstance(tool.get("description"), str):
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema") or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}
