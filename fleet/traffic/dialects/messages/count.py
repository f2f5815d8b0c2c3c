"""`/v1/messages/count_tokens`: an estimate, from the size of what would be asked. Pure.

No upstream counts for us, and each has its own tokenizer. The gateway knows how many tokens a byte of prompt was worth
lately for the model of the route; pictures count as a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fleet.traffic.dialects.messages.request import chat_request

TOKENS_PER_PICTURE = 1600
"""What a picture of the usual size costs at most."""
TOKENS_PER_MESSAGE = 4
"""What a chat template puts around a message."""


def count_tokens(body: Mapping[str, Any], tokens_per_byte: float) -> int:
    """How many tokens the prompt of `body` has, estimated; at least 1. Raises Refused for what `read` would refuse."""
    request = chat_request(body, stream=False)
    size_bytes = pictures = 0
    for message in request["messages"]:
        for text in _texts(message):
            if text is None:
                pictures += 1
            else:
                size_bytes += len(text.encode(errors="replace"))
    if "tools" in request:
        size_bytes += len(msgspec.json.encode(request["tools"]))
    around = TOKENS_PER_MESSAGE * len(request["messages"])
    return max(1, round(size_bytes * tokens_per_byte) + around + TOKENS_PER_PICTURE * pictures)


def _texts(message: dict[str, Any]) -> list[str | None]:
    """The texts of a message; None for a picture."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    texts: list[str | None] = [part["text"] if part["type"] == "text" else None for part in parts]
    for call in message.get("tool_calls", ()):
        texts += [call["function"]["name"], call["function"]["arguments"]]
    return texts
