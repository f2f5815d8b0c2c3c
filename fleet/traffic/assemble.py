"""One unary answer from the chunks of a stream. Pure.

Deltas merge by choice index, tool calls by their own. Nothing is invented: what the stream did not say is null.
"""

from __future__ import annotations

from typing import Any

from fleet.traffic.work import Work

_JOINED = ("content", "reasoning", "reasoning_content", "refusal")


class _Choice:
    def __init__(self) -> None:
        self.role = "assistant"
        self.texts: dict[str, list[str]] = {}
        self.calls: dict[int, dict[str, Any]] = {}
        self.arguments: dict[int, list[str]] = {}
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
            elif name in _JOINED:
                if isinstance(value, str):
                    self.texts.setdefault(name, []).append(value)
            elif value is not None:
                self.more[name] = value

    def _add_calls(self, calls: Any) -> None:
        for at, call in enumerate(calls if isinstance(calls, list) else ()):
            if not isinstance(call, dict):
                continue
            index = call.get("index")
            index = index if isinstance(index, int) else len(self.calls) + at
            mine = self.calls.setdefault(index, {"id": None, "type": "function", "function": {"name": None}})
            for name, value in call.items():
                if name == "function" and isinstance(value, dict):
                    if isinstance(value.get("name"), str):
                        mine["function"]["name"] = value["name"]
                    if isinstance(value.get("arguments"), str):
                        self.arguments.setdefault(index, []).append(value["arguments"])
                elif name != "index" and value is not None:
                    mine[name] = value

    def message(self) -> dict[str, Any]:
        out: dict[str, Any] = {"role": self.role, "content": None}
        out.update({name: "".join(texts) for name, texts in self.texts.items()})
        if self.calls:
            out["content"] = out["content"] or None
            out["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": "".join(self.arguments.get(index, []))}}
                for index, call in sorted(self.calls.items())
            ]
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
