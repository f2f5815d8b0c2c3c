"""What a simulated model says: the same words to the same request, so that tests know them. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.sim.upstreams.faults import Faults, faults_in, without_switches

_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+")
_THOUGHT = ("Let", " me", " think", ".")


@dataclass(frozen=True)
class ToolCall:
    """A call of an offered tool. `arguments` is text, as models write it; its id follows from both."""

    name: str
    arguments: str

    @property
    def id(self) -> str:
        """The same for the same call."""
        return "call_" + hashlib.sha256(f"{self.name}\0{self.arguments}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Script:
    """An answer before it is said. One piece is one token."""

    pieces: tuple[str, ...]
    finish: str
    prompt_tokens: int
    thoughts: tuple[str, ...] = ()
    call: ToolCall | None = None

    @property
    def text(self) -> str:
        """All that is said."""
        return "".join(self.pieces)

    @property
    def completion_tokens(self) -> int:
        """Pieces, thoughts and the call's arguments, four characters each."""
        called = 0 if self.call is None else 2 + len(self.call.arguments) // 4
        return len(self.pieces) + len(self.thoughts) + called


def prompt_of(body: Mapping[str, Any]) -> str:
    """All text of the request, in order: what is counted and cached."""
    messages = body.get("messages")
    if isinstance(messages, Sequence) and not isinstance(messages, str):
        return "\n".join(text_of(message.get("content")) for message in messages if isinstance(message, Mapping))
    return text_of(body.get("prompt", body.get("input")))


def asked(body: Mapping[str, Any]) -> str:
    """The last words of the user, switches and all."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return prompt_of(body)
    users = [one for one in messages if isinstance(one, Mapping) and one.get("role") == "user"]
    return text_of(users[-1].get("content")) if users else ""


def text_of(content: Any) -> str:
    """The text of a message's content, a prompt or an input; "" for all else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") if isinstance(part, Mapping) else part for part in content)
    return "".join(part for part in parts if isinstance(part, str))


def script(body: Mapping[str, Any], faults: Faults, *, default_tokens: int) -> Script:
    """The answer to `body`: the call that the prompt asks for, what a tool said, or the user's words once more."""
    prompt = prompt_of(body)
    counted = token_count(prompt)
    thoughts = _THOUGHT if body.get("reasoning") or body.get("include_reasoning") else ()
    call = _call(body, faults)
    if call is not None:
        return Script((), "tool_calls", counted, thoughts, call)
    pieces = _pieces(body, faults)
    most = next(
        (body[name] for name in ("max_completion_tokens", "max_tokens") if _count(body.get(name))), default_tokens
    )
    finish = "length" if len(pieces) > most else "stop"
    return Script(pieces[:most], finish, counted, thoughts)


def token_count(text: str) -> int:
    """Four bytes a token, never none."""
    return max(1, len(text.encode("utf-8", "replace")) // 4)


def switches(body: Mapping[str, Any]) -> Faults:
    """What the user's last words ask to go wrong."""
    return faults_in(asked(body))


def _pieces(body: Mapping[str, Any], faults: Faults) -> tuple[str, ...]:
    if faults.tokens is not None:
        return tuple(f"w{at} " for at in range(faults.tokens))
    result = _tool_result(body)
    said = f"The tool said: {result}" if result is not None else f"You said: {without_switches(asked(body))}"
    return tuple(_WORD.findall(said))


def _tool_result(body: Mapping[str, Any]) -> str | None:
    """What a tool said after the user's last words."""
    messages = body.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "tool":
            return text_of(message.get("content"))
        if role == "user":
            return None
    return None


def _call(body: Mapping[str, Any], faults: Faults) -> ToolCall | None:
    if faults.tool is None or body.get("tool_choice") == "none" or _tool_result(body) is not None:
        return None
    tools = body.get("tools")
    offered = [one.get("function") for one in (tools if isinstance(tools, list) else []) if isinstance(one, Mapping)]
    names = [one.get("name") for one in offered if isinstance(one, Mapping)]
    return ToolCall(faults.tool, faults.args or "{}") if faults.tool in names else None


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def embedding(text: str, dimensions: int) -> list[float]:
    """A vector that follows from the text, each number between -1 and 1."""
    seed = hashlib.sha256(json.dumps(text).encode()).digest()
    return [round(seed[at % len(seed)] / 127.5 - 1, 6) for at in range(dimensions)]
