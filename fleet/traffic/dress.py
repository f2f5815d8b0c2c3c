"""How a chunk looks to the client: its own model name, the role once, usage only when it was asked for. Pure.

mlx_lm says the role in every delta, and OpenAI's SDK joins equal keys of deltas: "assistantassistant".
"""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.traffic.chat_stream import Chunk

_ROLES = (b'"role": "assistant", ', b'"role":"assistant",', b', "role": "assistant"', b',"role":"assistant"')
_LONE_ROLES = (b'{"role": "assistant"}', b'{"role":"assistant"}')


class StreamDress:
    """Dresses the chunks of one stream. `shown` is the model's name for the client, `sent` what the upstream was asked.

    `role_once` is for a request of one choice. Bytes are replaced only outside of JSON strings: inside, a quotation
    mark is escaped.
    """

    def __init__(self, *, shown: str, sent: str, usage: bool, role_once: bool) -> None:
        named = msgspec.json.encode(shown)
        asked = msgspec.json.encode(sent)
        self._shown = shown
        self._models = tuple(
            (b'"model":%b%b' % (blank, asked), b'"model":%b%b' % (blank, named)) for blank in (b" ", b"")
        )
        if asked == named:
            self._models = ()
        self._usage = usage
        self._role_once = role_once
        self._role_said = False

    def dress(self, chunk: Chunk) -> bytes | None:
        """The data to send, or None for a chunk that the client did not ask for."""
        if chunk.parsed is not None and isinstance(chunk.parsed.get("usage"), dict):
            return self._with_usage(chunk.parsed)
        if chunk.parsed is not None and b'"finish_reason":""' in chunk.data.replace(b" ", b""):
            return msgspec.json.encode({**chunk.parsed, "model": self._shown})
        data = chunk.data
        for old, new in self._models:
            data = data.replace(old, new, 1)
        return self._without_role(data)

    def _without_role(self, data: bytes) -> bytes:
        if not self._role_once or b'"assistant"' not in data:
            return data
        if not self._role_said:
            self._role_said = True
            return data
        for role in _ROLES:
            data = data.replace(role, b"", 1)
        for role in _LONE_ROLES:
            data = data.replace(role, b"{}", 1)
        return data

    def _with_usage(self, parsed: dict[str, Any]) -> bytes | None:
        if not self._usage:
            if not parsed.get("choices"):
                return None
            parsed = {name: value for name, value in parsed.items() if name != "usage"}
        out = {**parsed, "model": self._shown}
        if out.get("object") == "chat.completion":  # mlx_lm's usage chunk
            out["object"] = "chat.completion.chunk"
        return self._without_role(msgspec.json.encode(out))
