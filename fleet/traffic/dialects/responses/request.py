"""A Responses request as a chat request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.traffic.dialects.head import kept, refusal
from fleet.traffic.dialects.responses.history import history
from fleet.traffic.dialects.responses.toolbox import Toolbox

_SAME = (
    "model",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "session_id",
    "service_tier",
    "provider",
    "models",
    "fleet",
)


def chat_request(body: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
    """What chat is asked. Fields that chat does not know go. Raises Refused."""
    _refuse_state(body)
    request = kept(body, _SAME)
    request["messages"] = history(body.get("input"), body.get("instructions"))
    if isinstance(body.get("max_output_tokens"), int):
        request["max_tokens"] = body["max_output_tokens"]
    reasoning, text = body.get("reasoning"), body.get("text")
    if isinstance(reasoning, dict) and isinstance(reasoning.get("effort"), str):
        request["reasoning_effort"] = reasoning["effort"]
    if isinstance(text, dict):
        if (form := _response_format(text.get("format"))) is not None:
            request["response_format"] = form
        if isinstance(text.get("verbosity"), str):
            request["verbosity"] = text["verbosity"]
    _add_tools(request, body)
    if stream:
        request["stream"] = True
        request["stream_options"] = {"include_usage": True}
    return request


def _refuse_state(body: Mapping[str, Any]) -> None:
    """Refuse what only a server with a memory could answer."""
    for name, code, instead in (
        ("previous_response_id", "previous_response_not_supported", "send the whole conversation in 'input'"),
        ("conversation", "conversation_not_supported", "send the whole conversation in 'input'"),
        ("prompt", "prompt_not_supported", "send its text in 'instructions'"),
    ):
        if body.get(name) is not None:
            raise refusal(f"'{name}' is not supported: this gateway stores nothing; {instead}", param=name, code=code)
    if body.get("background"):
        raise refusal(
            "'background' is not supported: this gateway stores nothing; ask without it and stream",
            param="background",
            code="background_not_supported",
        )


def _add_tools(request: dict[str, Any], body: Mapping[str, Any]) -> None:
    toolbox = Toolbox(body)
    choice = toolbox.chosen(body.get("tool_choice"))
    if not toolbox.functions:
        return  # upstreams refuse a choice among no tools
    request["tools"] = toolbox.functions
    if choice is not None:
        request["tool_choice"] = choice
    if isinstance(body.get("parallel_tool_calls"), bool):
        request["parallel_tool_calls"] = body["parallel_tool_calls"]


def _response_format(form: Any) -> dict[str, Any] | None:
    if not isinstance(form, dict):
        return None
    if form.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": kept(form, ("name", "description", "schema", "strict"))}
    return {"type": "json_object"} if form.get("type") == "json_object" else None
