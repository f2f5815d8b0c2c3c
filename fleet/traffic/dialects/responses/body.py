"""The Response object: what the answer says, and what the request said again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.traffic.dialects.dialect import Said
from fleet.traffic.dialects.head import kept
from fleet.traffic.dialects.tokens import Tokens
from fleet.traffic.openai_error import ApiError

_REPEATED = ("max_output_tokens", "max_tool_calls", "prompt_cache_key", "safety_identifier", "top_logprobs", "user")
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_SHARED_CODES = frozenset({"context_length_exceeded", "insufficient_quota", "rate_limit_exceeded"})


def stem_of(said: Said) -> str:
    """What the ids of a response are made of."""
    return said.request_id.removeprefix("req_")


def response_body(original: Mapping[str, Any], said: Said) -> dict[str, Any]:
    """A response in progress that repeats the request's fields. Nothing is stored, and it says so."""
    instructions, reasoning, text = original.get("instructions"), original.get("reasoning"), original.get("text")
    tools, parallel, metadata = original.get("tools"), original.get("parallel_tool_calls"), original.get("metadata")
    reasoning = reasoning if isinstance(reasoning, dict) else {}
    text = text if isinstance(text, dict) else {}
    return {
        "id": f"resp_{stem_of(said)}",
        "object": "response",
        "created_at": said.created_seconds,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": instructions if isinstance(instructions, str | list) else None,
        "metadata": metadata if isinstance(metadata, dict) else {},
        "model": said.shown,
        "output": [],
        "parallel_tool_calls": parallel if isinstance(parallel, bool) else True,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "store": False,
        "temperature": original.get("temperature"),
        "text": {"format": {"type": "text"}, **text},
        "tool_choice": original.get("tool_choice") or "auto",
        "tools": [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else [],
        "top_p": original.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        **kept(original, _REPEATED),
    }


def ended(finish: str | None) -> dict[str, Any]:
    """`status` and `incomplete_details` for a finish_reason."""
    reason = _INCOMPLETE.get(finish or "")
    if reason is None:
        return {"status": "completed"}
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def usage_of(tokens: Tokens | None) -> dict[str, Any] | None:
    """`usage`, or null where the upstream did not say."""
    if tokens is None:
        return None
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.written},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.total,
    }


def failure_of(error: ApiError) -> dict[str, Any]:
    """`error` of a failed response. `code` is one that the surface knows; ours is the `type`."""
    if error.code in _SHARED_CODES:
        code = error.code
    elif error.status == 429:
        code = "rate_limit_exceeded"
    else:
        code = "server_error" if error.status >= 500 else "invalid_prompt"
    return {"code": code, "message": error.message, "type": error.code or error.type, "param": error.param}
