"""What `mlx_lm server` says to a bad request, in its own words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_SNAPSHOT = (
    "Cannot find an appropriate cached snapshot folder for the specified revision on the local disk and outgoing "
    "traffic has been disabled. To enable repo look-ups and downloads online, set 'HF_HUB_OFFLINE=0' as environment "
    "variable."
)
_DEFAULT_MODEL = "default_model"
_NUMBERS = ("temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
_ROUND = ("top_k", "top_logprobs", "num_draft_tokens")
_SWITCHES = ("stream", "logprobs")


def problem(body: Any, *, chat: bool) -> tuple[int, str] | None:
    """Status and text of the refusal; None where it would begin to generate."""
    if not isinstance(body, Mapping):
        return 400, "Request should be a JSON dictionary"
    for name in _SWITCHES:
        if name in body and not isinstance(body[name], bool):
            return 400, f"{name} must be of type bool"
    most = body.get("max_completion_tokens") or body.get("max_tokens", 1)
    if isinstance(most, bool) or not isinstance(most, int):
        return 400, "max_tokens must be of type int"
    if most < 1:
        return 400, "max_tokens must be at least 1"
    if text := _number_problem(body):
        return 400, text
    if not isinstance(body.get("model", _DEFAULT_MODEL), str):
        return 400, "requested_model must be of type str"
    if chat and "messages" not in body:
        return 400, "Request did not contain messages"
    if not chat and "prompt" not in body:
        return 400, "Request did not contain a prompt"
    if body.get("model", _DEFAULT_MODEL) != _DEFAULT_MODEL:
        return 404, NO_SNAPSHOT
    return _content_problem(body.get("messages")) if chat else None


def _number_problem(body: Mapping[str, Any]) -> str | None:
    for name in _NUMBERS:
        if name in body and (isinstance(body[name], bool) or not isinstance(body[name], int | float)):
            return f"{name} must be of type ('float', 'int')"
    for name in _ROUND:
        if name in body and (isinstance(body[name], bool) or not isinstance(body[name], int)):
            return f"{name} must be of type int"
    top_p = body.get("top_p", 1)
    return None if 0 <= top_p <= 1 else "top_p must be at least 0" if top_p < 0 else "top_p must be at most 1"


def _content_problem(messages: Any) -> tuple[int, str] | None:
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, Mapping) or part.get("type") != "text":
                return 404, "Only 'text' content type is supported."
    return None
