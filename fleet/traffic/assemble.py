"""One unary answer from the chunks of a stream. Pure.

Deltas merge by choice index, tool calls by their own. Nothing is invented: what the stream did not say is null.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.traffic.work import Work

_JOINED = ("content", "reasoning", "reasoning_content", "refusal")


class _Call:
    """One tool call, out of its pieces."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {"id": None, "type": "function"}
        self.name: str | None = None
        self.arguments: list[str] = []

    def whole(self) -> dict[str, Any]:
        return {**self.fields, "function": {"name": self.name, "arguments": "".join(self.arguments)}}


class _Choice:
    def __init__(self) -> None:
        self.role = "assistant"
        self.texts: dict[str, list[str]] = {}
        self.calls: list[_Call] = []
        self.latest: dict[int, _Call] = {}
        self.function: _Call | None = None
        self.logprobs: dict[str, list[Any]] = {}
        self.finish_reason: str | None = None
        self.more: dict[str, Any] = {}

    def add(self, choice: dict[str, Any]) -> None:
        if isinstance(choice.get("finish_reason"), str):
            self.finish_reason = choice["finish_reason"]
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict):
            for name, entries in logprobs.items():
                if isinstance(entries, list):
                    self.logprobs.setdefault(name, []).extend(entries)
        if isinstance(choice.get("text"), str):
            self.texts.setdefault("text", []).append(choice["text"])
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return
        for name, value in delta.items():
            if name == "role":
                self.role = value if isinstance(value, str) else self.role
            elif name == "tool_calls":
                self._add_calls(value)
            elif name == "function_call" and isinstance(value, dict):
                self.function = self.function or _Call()
                self._add_call(self.function, {"function": value})
            elif name in _JOINED:
                if isinstance(value, str):
                    self.texts.setdefault(name, []).append(value)
            elif value is not None:
                self.more[name] = value

    def _add_calls(self, calls: Any) -> None:
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._add_call(self._call_of(call), call)

    def _call_of(self, call: dict[str, Any]) -> _Call:
        """The call that a piece belongs to. Some backends give no index, some give all their calls the same."""
        index, named = call.get("index"), call.get("id")
        mine = self.latest.get(index) if isinstance(index, int) else self.calls[-1] if self.calls else None
        if mine is None or (named and mine.fields["id"] and named != mine.fields["id"]):
            mine = _Call()
            self.calls.append(mine)
        if isinstance(index, int):
            self.latest[index] = mine
        return mine

    def _add_call(self, mine: _Call, call: dict[str, Any]) -> None:
        for name, value in call.items():
            if name == "function" and isinstance(value, dict):
                if isinstance(value.get("name"), str):
                    mine.name = value["name"]
                mine.arguments.append(_text(value.get("arguments")))
            elif name not in ("index", "function") and value is not None:
                mine.fields[name] = value

    def message(self) -> dict[str, Any]:
        out: dict[str, Any] = {"role": self.role, "content": None}
        out.update({name: "".join(texts) for name, texts in self.texts.items()})
        if self.calls:
            out["content"] = out["content"] or None
            out["tool_calls"] = [call.whole() for call in self.calls]
        if self.function is not None:
            out["function_call"] = self.function.whole()["function"]
        return {**self.more, **out}


class Assembler:
    """Give it every parsed chunk, in order."""

    def __init__(self, *, work: Work = Work.CHAT) -> None:
        self._work = work
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: dict[str, Any] | None = None

    def add(self, chunk: dict[str, Any]) -> None:
        """Merge one chunk."""
        for name, value in chunk.items():
            if name == "usage":
                self._usage = value if isinstance(value, dict) else self._usage
            elif name not in ("choices", "object") and value is not None:
                self._head.setdefault(name, value)
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index = choice.get("index")
                self._choices.setdefault(index if isinstance(index, int) else 0, _Choice()).add(choice)

    def answer(self) -> dict[str, Any]:
        """The unary answer of the work."""
        if self._work is Work.COMPLETIONS:
            return self._text_answer()
        out: dict[str, Any] = {**self._head, "object": "chat.completion"}
        out["choices"] = [
            {
                "index": index,
                "message": choice.message(),
                "logprobs": choice.logprobs or None,
                "finish_reason": choice.finish_reason,
            }
            for index, choice in sorted(self._choices.items())
        ]
        if self._usage is not None:
            out["usage"] = self._usage
        return out

    def _text_answer(self) -> dict[str, Any]:
        out: dict[str, Any] = {**self._head, "object": "text_completion"}
        out["choices"] = [
            {
                "index": index,
                "text": "".join(choice.texts.get("text", ())),
                "logprobs": choice.logprobs or None,
                "finish_reason": choice.finish_reason,
            }
            for index, choice in sorted(self._choices.items())
        ]
        if self._usage is not None:
            out["usage"] = self._usage
        return out


def _text(arguments: Any) -> str:
    """OpenAI's arguments are text; some backends send the object itself."""
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments if isinstance(arguments, str) else ""
