"""Building a chat's messages out of another surface's history. Pure.

Chat wants the results of tools right after the message that called them, and text alone in them. Two messages of a
user in a row stay two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Content = str | list[dict[str, Any]]


class ChatMessages:
    """Say, call and give results in the order of the history; then take `all()`."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._pictures: list[dict[str, Any]] = []

    def say(self, role: str, parts: Sequence[dict[str, Any]]) -> None:
        """A message of `role` in chat's content parts; one without parts is none."""
        if not parts:
            return
        if role == "assistant" and self._messages and "tool_calls" in (last := self._messages[-1]):
            # Text after a call (free-claude-code#206): a message between the call and its result would part them.
            last["content"] = flat([*unflat(last["content"]), *parts])
            return
        self._show()
        content = flat(parts)
        if role == "system" and all(part["type"] == "text" for part in parts):
            content = "\n\n".join(part["text"] for part in parts)  # the templates of many models know no parts here
        self._messages.append({"role": role, "content": content})

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """A tool call of the assistant, in one message with what it said before and called beside."""
        call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        if self._messages and self._messages[-1]["role"] == "assistant":
            self._messages[-1].setdefault("tool_calls", []).append(call)
            return
        self._show()
        self._messages.append({"role": "assistant", "content": None, "tool_calls": [call]})

    def result(self, call_id: str, parts: Sequence[dict[str, Any]]) -> None:
        """What a tool answered. Pictures follow as a message of the user: chat's results are text."""
        texts = [part["text"] for part in parts if part["type"] == "text"]
        self._pictures += [part for part in parts if part["type"] != "text"]
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": "\n".join(texts)})

    def all(self) -> list[dict[str, Any]]:
        """The messages."""
        self._show()
        return self._messages

    def _show(self) -> None:
        if self._pictures:
            self._messages.append({"role": "user", "content": self._pictures})
            self._pictures = []


def text_part(text: str) -> dict[str, Any]:
    """A text as chat's content part."""
    return {"type": "text", "text": text}


def flat(parts: Sequence[dict[str, Any]]) -> Content:
    """One text as a plain string, which every backend knows; else the parts."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return list(parts)


def unflat(content: Content | None) -> list[dict[str, Any]]:
    """The parts of a content."""
    if isinstance(content, str):
        return [text_part(content)]
    return content or []
