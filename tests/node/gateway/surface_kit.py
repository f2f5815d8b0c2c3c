"""The four surfaces as clients see them: what is asked, and whether an answer is complete, an error, or a lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway_harness import KEY, Running


class Lie(AssertionError):
    """Neither a complete answer nor a clear error."""


@dataclass(frozen=True)
class Answer:
    """What a client got. `text` is None for an error, which `error` then tells; `calls` are arguments of tool calls."""

    status: int
    text: str | None
    error: dict[str, Any] | None = None
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surface:
    """One way to ask."""

    name: str
    path: str
    _request: Callable[[str], dict[str, Any]]
    _unary: Callable[[dict[str, Any]], tuple[str, tuple[str, ...]]]
    _stream: Callable[[list[Any]], tuple[str, tuple[str, ...]] | dict[str, Any]]

    async def ask(self, gateway: Running, prompt: str, *, stream: bool, model: str = "smol", **more: Any) -> Answer:
        """What is answered to `prompt`. Raises Lie."""
        body = {"model": model, "stream": stream, **self._request(prompt), **more}
        headers = {"Authorization": f"Bearer {KEY}"}
        async with gateway.http.post(gateway.url + self.path, json=body, headers=headers, ssl=False) as response:
            return self.heard(response.status, response.content_type, await response.read())

    def heard(self, status: int, kind: str, body: bytes) -> Answer:
        """What an answer means to a client that believes nothing. Raises Lie."""
        if kind == "text/event-stream":
            if status != 200:
                raise Lie(f"an event stream with status {status}")
            said = self._stream(events(body))
            return Answer(200, None, said) if isinstance(said, dict) else Answer(200, said[0], None, said[1])
        answer = json.loads(body)
        if status == 200:
            text, calls = self._unary(answer)
            return Answer(200, text, None, calls)
        if self.name == "messages" and answer.get("type") != "error":
            raise Lie(f"not an error of this surface: {answer}")
        return Answer(status, None, _clear(answer.get("error")))


def events(body: bytes) -> list[Any]:
    """The events of a stream; [DONE] as text. Raises Lie for what no client could read."""
    out: list[Any] = []
    blocks = body.replace(b"\r\n", b"\n").split(b"\n\n")
    if blocks.pop():
        raise Lie("the stream ends in the middle of an event")
    for block in blocks:
        data = b"\n".join(line[6:] for line in block.split(b"\n") if line.startswith(b"data: "))
        if data:
            out.append("[DONE]" if data == b"[DONE]" else _json(data))
    return out


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return {"malformed": True}


def _clear(error: Any) -> dict[str, Any]:
    if not isinstance(error, dict) or not isinstance(error.get("message"), str) or not error["message"]:
        raise Lie(f"an error that says nothing: {error!r}")
    return error


def _openai(
    said: Callable[[dict[str, Any]], str],
) -> Callable[[list[Any]], tuple[str, tuple[str, ...]] | dict[str, Any]]:
    def heard(found: list[Any]) -> tuple[str, tuple[str, ...]] | dict[str, Any]:
        if not found:
            raise Lie("an empty stream")
        if found[-1] != "[DONE]":
            if "[DONE]" in found or "error" not in found[-1]:
                raise Lie(f"a stream that just ends: {found[-1]}")
            return _clear(found[-1]["error"])
        chunks = [one for one in found if one != "[DONE]" and "malformed" not in one]
        if found.count("[DONE]") != 1 or any("error" in one for one in chunks):
            raise Lie("an error, or a second end, before [DONE]")
        choices = [choice for one in chunks for choice in one["choices"]]
        finishes = [choice["finish_reason"] for choice in choices if choice.get("finish_reason") is not None]
        if not finishes or "" in finishes:
            raise Lie(f"an answer that finished with {finishes}")
        calls: dict[int, str] = {}
        for choice in choices:
            for call in choice.get("delta", {}).get("tool_calls") or ():
                calls[call["index"]] = calls.get(call["index"], "") + (call["function"].get("arguments") or "")
        return "".join(map(said, choices)), tuple(calls.values())

    return heard


def _responses(found: list[Any]) -> tuple[str, tuple[str, ...]] | dict[str, Any]:
    last = found[-1] if found else {}
    if last.get("type") == "response.failed":
        return _clear(last["response"]["error"])
    if last.get("type") == "error":
        return _clear(last)
    if last.get("type") not in ("response.completed", "response.incomplete"):
        raise Lie(f"a stream that just ends: {last}")
    text = "".join(one["delta"] for one in found if one["type"] == "response.output_text.delta")
    whole, calls = _response(last["response"])
    if whole != text:
        raise Lie(f"deltas {text!r} are not the whole {whole!r}")
    return text, calls


def _response(answer: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    if answer["status"] not in ("completed", "incomplete"):
        raise Lie(f"a 200 of status {answer['status']}")
    parts = [part for item in answer["output"] if item["type"] == "message" for part in item["content"]]
    calls = tuple(item["arguments"] for item in answer["output"] if item["type"] == "function_call")
    return "".join(part["text"] for part in parts), calls


def _messages(found: list[Any]) -> tuple[str, tuple[str, ...]] | dict[str, Any]:
    last = found[-1] if found else {}
    if last.get("type") == "error":
        return _clear(last["error"])
    if last.get("type") != "message_stop" or [one["type"] for one in found].count("message_delta") != 1:
        raise Lie(f"a stream that just ends: {last}")
    deltas = [one["delta"] for one in found if one["type"] == "content_block_delta"]
    calls = "".join(one["partial_json"] for one in deltas if one["type"] == "input_json_delta")
    return "".join(one["text"] for one in deltas if one["type"] == "text_delta"), (calls,) if calls else ()


def _message(answer: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    if answer["stop_reason"] is None:
        raise Lie("a message that did not stop")
    calls = tuple(json.dumps(one["input"]) for one in answer["content"] if one["type"] == "tool_use")
    return "".join(one["text"] for one in answer["content"] if one["type"] == "text"), calls


def _chat(answer: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    choice = answer["choices"][0]
    if not choice["finish_reason"]:
        raise Lie("a chat that did not finish")
    calls = choice["message"].get("tool_calls") or ()
    return choice["message"]["content"] or "", tuple(call["function"]["arguments"] for call in calls)


def _completion(answer: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    choice = answer["choices"][0]
    if not choice["finish_reason"]:
        raise Lie("a completion that did not finish")
    return choice["text"], ()


def _turn(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}]}


SURFACES = {
    one.name: one
    for one in (
        Surface(
            "chat",
            "/v1/chat/completions",
            _turn,
            _chat,
            _openai(lambda choice: choice["delta"].get("content") or ""),
        ),
        Surface(
            "completions",
            "/v1/completions",
            lambda prompt: {"prompt": prompt},
            _completion,
            _openai(lambda choice: choice.get("text") or ""),
        ),
        Surface("responses", "/v1/responses", lambda prompt: {"input": prompt}, _response, _responses),
        Surface("messages", "/v1/messages", lambda prompt: {**_turn(prompt), "max_tokens": 99}, _message, _messages),
    )
}
