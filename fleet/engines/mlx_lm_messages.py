"""Messages as `mlx_lm server` and the templates of models take them. Pure; what need not change is not copied.

The server joins lists of text itself, but only for a model with a chat template, and it refuses a part without a type
or of a type that it does not know. Templates are the models' own: they know no role `developer`, and a key that is
there with null (`"tool_calls": null`) makes some of them fail where a missing key does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import is_not
from typing import Any

import msgspec

_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_CACHE = "cache_control"
_VALID = msgspec.json.Decoder(msgspec.Raw)


def plain_messages(messages: list[Any]) -> list[Any]:
    """`messages`, the very list where nothing had to change. One with a list of parts always changes."""
    plain = [message if _is_plain(message) else _plain(message) for message in messages]
    if sum(1 for message in plain if _is_system(message)) > (1 if plain and _is_system(plain[0]) else 0):
        return _one_system(plain)
    return plain if any(map(is_not, plain, messages)) else messages


def _one_system(messages: list[Any]) -> list[Any]:
    """At most one system message, and that at the start: templates such as Qwen's fail at any other.

    Those at the start become one text. A later one (Claude Code and Codex send some) stays where it is, as the user's:
    moved to the start it would change the beginning of the prompt, which the server has in its cache.
    """
    count = next((at for at, message in enumerate(messages) if not _is_system(message)), len(messages))
    head, rest = messages[:count], messages[count:]
    if len(head) > 1 and all(isinstance(message.get("content"), str) for message in head):
        head = [{**head[0], "content": "\n\n".join(message["content"] for message in head)}]
    elif len(head) > 1:
        head, rest = head[:1], [*head[1:], *rest]
    return [*head, *({**message, "role": "user"} if _is_system(message) else message for message in rest)]


def _is_system(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "system"


def plain_tools(tools: list[Any]) -> list[Any]:
    """`tools` without hints for other people's caches: they would become part of the prompt."""
    return [
        {name: value for name, value in tool.items() if name != _CACHE}
        if isinstance(tool, dict) and _CACHE in tool
        else tool
        for tool in tools
    ]


def _is_plain(message: Any) -> bool:
    """Whether it can go as it is. Null content may: the server takes it for empty, and a call has no other."""
    if not isinstance(message, dict):
        return True
    content = message.get("content")
    if type(content) is not str:
        if content is not None or list(message.values()).count(None) > ("content" in message):
            return False
    elif None in message.values():
        return False
    if message.get("role") == "developer" or _CACHE in message:
        return False
    if "tool_calls" not in message:
        return True
    calls = message["tool_calls"]
    return bool(calls) and all(map(_is_plain_call, calls)) if isinstance(calls, list) else True


def _is_plain_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    return not isinstance(arguments, str) or _is_object(arguments)


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    out = {name: value for name, value in message.items() if value is not None and name != _CACHE}
    if isinstance(content := message.get("content"), list):
        out["content"] = _content(content)
    if out.get("role") == "developer":
        out["role"] = "system"
    calls = out.get("tool_calls")
    if isinstance(calls, list):
        if calls:
            out["tool_calls"] = [_call(call) for call in calls]
        else:
            del out["tool_calls"]  # as good as none, and templates ask only whether it is there
    return out


def _content(content: list[Any]) -> str | list[Any]:
    """Text where it is all text, else a list of parts without nulls and hints."""
    texts = [_text(part) for part in content]
    known = [text for text in texts if text is not None]
    if len(known) == len(texts):
        return "".join(known)
    return [
        {"type": "text", "text": text} if text is not None else _bare(part)
        for text, part in zip(texts, content, strict=True)
    ]


def _text(part: Any) -> str | None:
    """The text of a part; None where it is something else."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return None
    kind = part.get("type", "text")
    text = part.get(_TEXTS[kind]) if isinstance(kind, str) and kind in _TEXTS else None
    return text if isinstance(text, str) else None


def _bare(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in part.items() if value is not None and name != _CACHE}


def _call(call: Any) -> Any:
    """A call of the history, with arguments that are a JSON object.

    The server parses them, and one bad call of a model, repeated by its client, would end the conversation for good.
    """
    if _is_plain_call(call):
        return call
    function = call["function"]
    said = function["arguments"]
    said = json.dumps({"arguments": said}) if said.strip() else "{}"
    return {**call, "function": {**function, "arguments": said}}


def _is_object(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        _VALID.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return False
    return True
