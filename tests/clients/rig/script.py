"""What the scripted upstream says to a chat request: text, a tool call, or what a tool has brought back. Pure.

Steered from inside the messages, so that it works through any gateway and any client:

    @@err=429|500|401|503|cut|cuthead|hang,chunks=N,delay=MS@@    fails, or says more, or says it slowly
    READ_THE_NOTE /path/of/a/file                                 calls an offered tool that can read that file
    USE_TOOL                                                      calls the first offered tool, without arguments

After a tool's result it says what note the result held. A note is a word that only the file knows: when a client shows
it, then the tool ran at the client, and its result came here and back again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

TEXT = "Hello from the mock upstream. "
CALL_ID = "call_mock1"
_STEERING = re.compile(r"@@([a-z0-9=,]{1,200})@@")
_NOTE = re.compile(r"note-[0-9a-f]{12}")
_READ = re.compile(r"READ_THE_NOTE (/[\w./-]+)")
_PATHS = ("filePath", "file_path", "path")
_COMMANDS = ("cmd", "command")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said: `pieces` of text, or one call of `tool`."""

    pieces: tuple[str, ...] = ()
    tool: str = ""
    arguments: str = "{}"
    prompt_tokens: int = 42
    steering: Mapping[str, str] = field(default_factory=dict)

    @property
    def finish_reason(self) -> str:
        """Why it ends."""
        return "tool_calls" if self.tool else "stop"

    @property
    def usage(self) -> dict[str, Any]:
        """A token per piece."""
        said = len(self.pieces) or 1
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": said,
            "total_tokens": self.prompt_tokens + said,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    @property
    def message(self) -> dict[str, Any]:
        """The message of a unary answer."""
        if not self.tool:
            return {"role": "assistant", "content": "".join(self.pieces)}
        function = {"name": self.tool, "arguments": self.arguments}
        return {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": CALL_ID, "type": "function", "function": function}],
        }

    def deltas(self) -> Iterator[dict[str, Any]]:
        """What a stream says, piece by piece; a tool's arguments come in two halves."""
        yield {"role": "assistant", "content": ""}
        if not self.tool:
            yield from ({"content": piece} for piece in self.pieces)
            return
        named = {"index": 0, "id": CALL_ID, "type": "function", "function": {"name": self.tool, "arguments": ""}}
        yield {"tool_calls": [named]}
        middle = len(self.arguments) // 2
        for half in (self.arguments[:middle], self.arguments[middle:]):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": half}}]}


def answer_to(body: Mapping[str, Any]) -> Answer:
    """The answer to a chat request in OpenAI's words."""
    messages = [one for one in body.get("messages") or () if isinstance(one, dict)]
    asked = " ".join(_text(one.get("content")) for one in messages if one.get("role") == "user")
    steering = _steering(asked)
    results = [_text(one.get("content")) for one in messages if one.get("role") == "tool"]
    if results:
        found = _NOTE.search(results[-1])
        said = f"The note says {found[0]}." if found else f"The tool said: {results[-1][:200]}"
        return Answer(pieces=tuple(re.findall(r"\S+\s*", said)), steering=steering)
    offered = [one["function"] for one in body.get("tools") or () if one.get("type") == "function"]
    if offered and (wanted := _READ.search(asked)) and (call := _reading(offered, wanted[1])):
        return Answer(tool=call[0], arguments=json.dumps(call[1]), steering=steering)
    if offered and "USE_TOOL" in asked:
        return Answer(tool=offered[0]["name"], steering=steering)
    return Answer(pieces=(TEXT,) * int(steering.get("chunks", 6)), steering=steering)


def _reading(offered: list[dict[str, Any]], path: str) -> tuple[str, dict[str, str]] | None:
    """A tool that reads files, else one that runs commands, and its arguments."""
    for names, properties, value in (
        (("read",), _PATHS, path),
        (("exec_command", "shell", "exec", "bash"), _COMMANDS, f"cat {path}"),
    ):
        for tool in offered:
            has = (tool.get("parameters") or {}).get("properties") or {}
            named = next((one for one in properties if one in has), None)
            if named and tool["name"].lower() in names:
                return tool["name"], {named: value}
    return None


def _steering(text: str) -> dict[str, str]:
    found = _STEERING.findall(text)
    return dict(pair.split("=", 1) for pair in found[-1].split(",") if "=" in pair) if found else {}


def _text(content: Any) -> str:
    """Content is a string, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
