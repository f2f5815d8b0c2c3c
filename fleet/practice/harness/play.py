"""A conversation, step by step: what is asked next, and whether there is anything more to ask. Pure.

Tools are played: what a model calls is answered by the results that the suite has written down, and the model goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from fleet.practice.harness.check import same
from fleet.practice.harness.said import Called, Said, calls_of
from fleet.practice.harness.suite import Prompt, Tool
from fleet.traffic.tools.heard import Heard
from fleet.traffic.tools.offered import Schemas

_NO_RESULT = '{"error": "nothing found"}'
_NO_TOOL = '{"error": "there is no such tool"}'


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A prompt that is being asked. `messages` are what goes out next; `over`: nothing does."""

    prompt: Prompt
    messages: tuple[Mapping[str, Any], ...]
    said: Said = field(default_factory=Said)
    steps: int = 0
    over: bool = False


def begin(prompt: Prompt) -> Conversation:
    """Before anything was asked."""
    return Conversation(prompt=prompt, messages=prompt.messages)


def request_of(talk: Conversation, model: str) -> dict[str, Any]:
    """What goes out, in OpenAI's chat words."""
    prompt = talk.prompt
    request: dict[str, Any] = {
        "model": model,
        "messages": list(talk.messages),
        "max_tokens": prompt.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.temperature is not None:
        request["temperature"] = prompt.temperature
    if prompt.tools:
        request["tools"] = [_offered(name, tool) for name, tool in prompt.tools.items()]
        if prompt.tool_choice is not None and talk.steps == 0:  # a tool that must be called would be called for ever
            request["tool_choice"] = prompt.tool_choice
    if prompt.response_format is not None:
        request["response_format"] = prompt.response_format
    return request


def heard(talk: Conversation, text: str, answer: Heard, schemas: Schemas) -> Conversation:
    """After an answer: its calls are played, unless it was the last that the prompt may take."""
    calls = calls_of(answer)
    said = Said(texts=(*talk.said.texts, text), calls=(*talk.said.calls, *calls), finish=answer.finish_reason or "")
    after = replace(talk, said=said, steps=talk.steps + 1)
    if not calls or after.steps >= talk.prompt.steps:
        return replace(after, over=True)
    ids = [_id(call, number) for number, call in enumerate(answer.calls)]
    turn = {
        "role": "assistant",
        "content": text or None,
        "tool_calls": [
            {"id": id_, "type": "function", "function": {"name": call.tool, "arguments": call.raw or "{}"}}
            for id_, call in zip(ids, calls, strict=True)
        ],
    }
    played = [
        {"role": "tool", "tool_call_id": id_, "content": result_of(talk.prompt.tools, call, schemas)}
        for id_, call in zip(ids, calls, strict=True)
    ]
    return replace(after, messages=(*talk.messages, turn, *played))


def result_of(tools: Mapping[str, Tool], call: Called, schemas: Schemas) -> str:
    """What the tool gives back for these arguments."""
    tool = tools.get(call.tool)
    if tool is None:
        return _NO_TOOL
    for result in tool.results:
        if call.arguments is not None and same(dict(result.when), call.arguments, schemas):
            give = result.give
            return give if isinstance(give, str) else msgspec.json.encode(give).decode()
    return _NO_RESULT


def _offered(name: str, tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "description": tool.description, "parameters": tool.parameters},
    }


def _id(call: Mapping[str, Any], number: int) -> str:
    named = call.get("id")
    return named if isinstance(named, str) and named else f"call_{number}"
