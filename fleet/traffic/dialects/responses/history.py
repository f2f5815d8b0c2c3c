"""The `input` of a Responses request as chat messages. Pure.

Reasoning items go: several chat upstreams refuse a message with an unknown field. So do records of hosted tools.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.traffic.dialects.chat_messages import ChatMessages, text_part
from fleet.traffic.dialects.head import refusal
from fleet.traffic.dialects.responses.toolbox import as_arguments, chat_name

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_STORED = frozenset({"item_reference", "compaction", "compaction_summary", "context_compaction"})


def history(given: Any, instructions: Any) -> list[dict[str, Any]]:
    """The messages. Raises Refused for what only a server with a memory could answer."""
    messages = ChatMessages()
    if isinstance(instructions, str) and instructions:
        messages.say("system", [text_part(instructions)])
    elif isinstance(instructions, list):
        _say_items(messages, instructions, "instructions")
    if isinstance(given, str):
        messages.say("user", [text_part(given)])
    elif isinstance(given, list):
        _say_items(messages, given, "input")
    else:
        raise refusal("'input' must be a string or a list of items", param="input", code="invalid_type")
    return messages.all()


def _say_items(messages: ChatMessages, items: list[Any], where: str) -> None:
    for at, item in enumerate(items):
        place = f"{where}[{at}]"
        if not isinstance(item, dict):
            raise refusal(f"'{place}' must be an object", param=place, code="invalid_type")
        _say_item(messages, item, place)


def _say_item(messages: ChatMessages, item: dict[str, Any], place: str) -> None:
    kind = _text(item.get("type")) or "message"
    if kind in _STORED:
        raise refusal(
            f"'{place}' is of type {kind}, which refers to something that a server keeps. This gateway keeps no"
            " conversations: send the items themselves",
            param=place,
            code="unsupported_item",
        )
    if kind == "message":
        role = _ROLES.get(str(item.get("role")))
        if role is None:
            raise refusal(f"'{place}.role' must be one of {', '.join(_ROLES)}", param=f"{place}.role")
        messages.say(role, _parts(item.get("content"), f"{place}.content"))
    elif kind == "agent_message":  # Codex: what another of its agents reported
        messages.say("user", _parts(item.get("content"), f"{place}.content"))
    elif kind == "function_call":
        name = chat_name(_text(item.get("name")), item.get("namespace"))
        messages.call(_call_id(item), name, _text(item.get("arguments")) or "{}")
    elif kind == "custom_tool_call":
        name = chat_name(_text(item.get("name")), item.get("namespace"))
        messages.call(_call_id(item), name, as_arguments(_text(item.get("input"))))
    elif kind in ("function_call_output", "custom_tool_call_output"):
        messages.result(_call_id(item), _output(item.get("output"), f"{place}.output"))


def _call_id(item: dict[str, Any]) -> str:
    return _text(item.get("call_id")) or _text(item.get("id"))


def _output(output: Any, place: str) -> list[dict[str, Any]]:
    """What a tool gave: text, parts, or (against the form, but seen) any JSON."""
    if output is None or isinstance(output, str):
        return [text_part(output or "")]
    if isinstance(output, list) and all(isinstance(part, dict) and "type" in part for part in output):
        return _parts(output, place)
    return [text_part(msgspec.json.encode(output).decode())]


def _parts(content: Any, place: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [text_part(content)]
    parts: list[dict[str, Any]] = []
    for at, part in enumerate(content if isinstance(content, list) else ()):
        read = _part(part, f"{place}[{at}]")
        if read is not None:
            parts.append(read)
    return parts


def _part(part: Any, place: str) -> dict[str, Any] | None:
    if isinstance(part, str):
        return text_part(part)
    if not isinstance(part, dict):
        raise refusal(f"'{place}' must be an object", param=place, code="invalid_type")
    match _text(part.get("type")):
        case kind if kind in _TEXTS:
            return text_part(_text(part.get("text")))
        case "refusal":
            return text_part(_text(part.get("refusal")))
        case "input_image":
            return _image(part, place)
        case "input_audio":
            return {"type": "input_audio", "input_audio": part.get("input_audio")}
        case "input_file":
            raise refusal(
                f"'{place}' is a file: this gateway takes text and images", param=place, code="unsupported_content"
            )
    return None


def _image(part: dict[str, Any], place: str) -> dict[str, Any]:
    url = part.get("image_url")
    url = url.get("url") if isinstance(url, dict) else url
    if not isinstance(url, str):
        raise refusal(
            f"'{place}' needs 'image_url': this gateway keeps no files", param=place, code="unsupported_content"
        )
    image = {"url": url}
    if isinstance(part.get("detail"), str):
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
