"""`system` and `messages` of a Messages request as chat messages. Pure.

Thinking blocks go: their signatures mean nothing elsewhere, and several chat upstreams refuse a message with an
unknown field.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.traffic.dialects.chat_messages import ChatMessages, text_part
from fleet.traffic.dialects.head import refusal
from fleet.traffic.dialects.messages.content import blocks_of, parts_of, text_of

_BILLING = "x-anthropic-billing-header:"
_ROLES = ("user", "assistant", "system")


def history(system: Any, messages: Any) -> list[dict[str, Any]]:
    """The messages. Raises Refused."""
    if not isinstance(messages, list):
        raise refusal("'messages' must be a list", param="messages", code="invalid_type")
    out = ChatMessages()
    if text := _system(system, "system"):
        out.say("system", [text_part(text)])
    for at, message in enumerate(messages):
        place = f"messages[{at}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise refusal(f"'{place}.role' must be one of {', '.join(_ROLES)}", param=f"{place}.role")
        content, where = message.get("content"), f"{place}.content"
        if role == "system":  # Claude Code says its environment in the midst of the conversation
            if text := _system(content, where):
                out.say("system", [text_part(text)])
        elif role == "assistant":
            _assistant(out, blocks_of(content, where), where)
        else:
            _user(out, blocks_of(content, where), where)
    return out.all()


def _system(content: Any, place: str) -> str:
    """The texts of a system prompt in one.

    Claude Code's first block is a header for Anthropic's billing, with a value that changes: it would make every
    prompt begin differently, and no upstream's prompt cache would ever be hit.
    """
    texts = (text_of(block.get("text")) for block in blocks_of(content, place))
    return "\n\n".join(text for text in texts if text and not text.startswith(_BILLING))


def _assistant(out: ChatMessages, blocks: list[dict[str, Any]], place: str) -> None:
    said: list[dict[str, Any]] = []
    for at, block in enumerate(blocks):
        if block.get("type") != "tool_use":
            said += parts_of(block, f"{place}[{at}]")
            continue
        out.say("assistant", said)
        said = []
        given = block.get("input")
        arguments = msgspec.json.encode(given if isinstance(given, dict) else {}).decode()
        out.call(text_of(block.get("id")), text_of(block.get("name")), arguments)
    out.say("assistant", said)


def _user(out: ChatMessages, blocks: list[dict[str, Any]], place: str) -> None:
    """Results first, wherever they stand: chat wants them right after the calls."""
    said: list[dict[str, Any]] = []
    for at, block in enumerate(blocks):
        where = f"{place}[{at}]"
        if block.get("type") == "tool_result":
            out.result(text_of(block.get("tool_use_id")), _result(block, where))
        else:
            said += parts_of(block, where)
    out.say("user", said)


def _result(block: dict[str, Any], place: str) -> list[dict[str, Any]]:
    where = f"{place}.content"
    parts = [part for one in blocks_of(block.get("content"), where) for part in parts_of(one, where)]
    if block.get("is_error") is True:  # chat has no field for it
        return [text_part("The tool failed:"), *parts]
    return parts
