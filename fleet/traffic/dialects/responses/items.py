"""The output items of a response, from the blocks of an answer. Pure."""

from __future__ import annotations

from typing import Any

from fleet.traffic.dialects.blocks import Block, Kind
from fleet.traffic.dialects.responses.toolbox import Tool, Toolbox, free_text


def item_id(block: Block, tool: Tool | None, stem: str) -> str:
    """The id of a block's item; the same in a stream and in a unary answer."""
    prefix = {Kind.REASONING: "rs", Kind.CALL: "fc"}.get(block.kind, "msg")
    return f"{'ctc' if tool is not None and tool.custom else prefix}_{stem}_{block.place}"


def content_part(block: Block, text: str) -> dict[str, Any]:
    """The part of a message."""
    if block.kind is Kind.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def arguments_of(block: Block) -> str:
    """The arguments of a call; some backends say none at all for a tool without parameters."""
    text = block.text
    return text if text.strip() else "{}"


def item(block: Block, toolbox: Toolbox, stem: str, *, status: str) -> dict[str, Any]:
    """A block's item. `status` in_progress gives it as it is announced: empty."""
    begun = status == "in_progress"
    if block.kind is Kind.CALL:
        return _call(block, toolbox.called(block.name), stem, status=status)
    named = item_id(block, None, stem)
    if block.kind is Kind.REASONING:
        summary = [] if begun else [{"type": "summary_text", "text": block.text}]
        return {"id": named, "type": "reasoning", "summary": summary, "status": status}
    content = [] if begun else [content_part(block, block.text)]
    return {"id": named, "type": "message", "status": status, "role": "assistant", "content": content}


def _call(block: Block, tool: Tool, stem: str, *, status: str) -> dict[str, Any]:
    begun = status == "in_progress"
    out: dict[str, Any] = {"id": item_id(block, tool, stem), "call_id": block.call_id, "name": tool.name}
    if tool.namespace is not None:
        out["namespace"] = tool.namespace
    if tool.custom:
        text = "" if begun else free_text(block.text)
        return {**out, "type": "custom_tool_call", "input": text, "status": status}
    text = "" if begun else arguments_of(block)
    return {**out, "type": "function_call", "arguments": text, "status": status}
