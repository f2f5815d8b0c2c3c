"""What a Messages answer says of its end and its cost, and the content of a whole one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fleet.traffic.dialects.blocks import Block, Kind, is_object
from fleet.traffic.dialects.delta import Delta
from fleet.traffic.dialects.dialect import Said
from fleet.traffic.dialects.tokens import Tokens

UNPARSED = "unparsed_arguments"
"""The key of a tool's input that keeps arguments which are no JSON object: never an empty object in their place."""


def message_id(said: Said) -> str:
    """The id of the answer."""
    return f"msg_{said.request_id.removeprefix('req_')}"


def tool_id(said: Said, place: int) -> str:
    """An id for a call that came without one."""
    return f"toolu_{said.request_id.removeprefix('req_')}_{place}"


def message(said: Said, *, content: list[dict[str, Any]]) -> dict[str, Any]:
    """A message whose end is not known yet."""
    return {
        "id": message_id(said),
        "type": "message",
        "role": "assistant",
        "model": said.shown,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
    }


def stopped(delta: Delta, original: Mapping[str, Any], *, has_calls: bool) -> dict[str, Any]:
    """`stop_reason` and `stop_sequence`. A call that the limit cut is no call to make: max_tokens."""
    stops = original.get("stop_sequences")
    if delta.finish == "length":
        return {"stop_reason": "max_tokens", "stop_sequence": None}
    if delta.finish == "content_filter":
        return {"stop_reason": "refusal", "stop_sequence": None}
    if has_calls:
        return {"stop_reason": "tool_use", "stop_sequence": None}
    if delta.matched and isinstance(stops, list) and delta.matched in stops:
        return {"stop_reason": "stop_sequence", "stop_sequence": delta.matched}
    return {"stop_reason": "end_turn", "stop_sequence": None}


def usage_of(tokens: Tokens | None) -> dict[str, int]:
    """`usage`. The form has no word for unknown: 0. What the cache gave or took is not in `input_tokens`."""
    counts = tokens or Tokens(0, 0, 0)
    return {
        "input_tokens": max(0, counts.input - counts.cached - counts.written),
        "cache_creation_input_tokens": counts.written,
        "cache_read_input_tokens": counts.cached,
        "output_tokens": counts.output,
    }


def content(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """The content of a whole answer."""
    return [_content(block) for block in blocks]


def empty(block: Block) -> dict[str, Any]:
    """A block as a stream announces it."""
    match block.kind:
        case Kind.REASONING:
            return {"type": "thinking", "thinking": "", "signature": ""}
        case Kind.CALL:
            return {"type": "tool_use", "id": block.call_id, "name": block.name, "input": {}}
    return {"type": "text", "text": ""}


def _content(block: Block) -> dict[str, Any]:
    match block.kind:
        case Kind.REASONING:
            return {**empty(block), "thinking": block.text}
        case Kind.CALL:
            return {**empty(block), "input": _input(block.text)}
    return {"type": "text", "text": block.text}


def _input(arguments: str) -> dict[str, Any]:
    """A tool's input. No arguments at all are an empty object; some backends say so for a tool without parameters."""
    if not arguments.strip():
        return {}
    if is_object(arguments):
        return dict(msgspec.json.decode(arguments))
    return {UNPARSED: arguments}
