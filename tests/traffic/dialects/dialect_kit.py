"""What the tests of the dialects share: recordings, the way of a stream through the relay's parts, and the SDKs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
from anthropic.types import Message

from fleet.traffic.assemble import Assembler
from fleet.traffic.chat_stream import ChatStreamReader, Chunk, Fault, Part
from fleet.traffic.dialects.dialect import Asked, Dialect, Said, Voice
from fleet.traffic.dialects.registry import dialect
from fleet.traffic.openai_error import ApiError
from fleet.traffic.work import Work

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
GOLDENS = Path(__file__).resolve().parents[2] / "goldens" / "dialects"
SAID = Said(shown="token-track", sent="default_model", request_id="req_0123456789ab", created_seconds=1_700_000_000)
CUT = ApiError(status=502, message="the upstream's answer was cut off", type="upstream_error", code="stream_truncated")
REQUESTS: dict[str, dict[str, Any]] = {
    "chat": {
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "completions": {"prompt": "hi", "stream": True, "stream_options": {"include_usage": True}},
    "responses": {"input": "hi", "stream": True},
    "messages": {
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 100,
        "stream": True,
        "thinking": {"type": "adaptive"},
    },
}
STREAMS = (
    "mlx/chat-stream.sse.txt",
    "mlx/chat-stream-usage.sse.txt",
    "mlx/tool-call-stream.sse.txt",
    "mlx/smollm2-chat-stream.sse.txt",
    "clients/response.chat.stream.sse",
    "clients/response.chat.tool.stream.sse",
    "chat_streams/openrouter-reasoning.sse",
)
TRANSLATED = ("responses", "messages")
ENDS = (b"event: response.completed", b"event: response.incomplete", b"event: message_stop", b"data: [DONE]")
"""What only a complete answer may be followed by."""


def recording(name: str) -> bytes:
    """The bytes of a recorded stream; those of mlx_lm have the exchange's heads before them."""
    text = (SAMPLES / name).read_bytes()
    return text[text.index(b"< HTTP") :].partition(b"\n\n")[2] if name.startswith("mlx/") else text


def sent(client: str) -> dict[str, Any]:
    """What a real client sent."""
    found: dict[str, Any] = json.loads((SAMPLES / "clients" / f"{client}.json").read_bytes())
    return found


def asked_of(name: str, **more: Any) -> Asked:
    """A plain streamed request of a surface."""
    return dialect(name).read({**REQUESTS[name], **more})


def voice_of(name: str, **more: Any) -> Voice:
    """A voice for it."""
    return dialect(name).voice(asked_of(name, **more), SAID)


def event(chunk: Mapping[str, Any] | str) -> bytes:
    """A chunk on the upstream's wire."""
    return b"data: %b\n\n" % (chunk if isinstance(chunk, str) else json.dumps(chunk)).encode()


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    """A chunk with one delta."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "default_model",
        "choices": [{"index": 0, "delta": said, "finish_reason": finish}],
    }


def call(arguments: str | None = None, *, index: int | None = 0, **more: Any) -> dict[str, Any]:
    """A tool call of a delta; `name` is the function's."""
    function = {"name": more.pop("name")} if "name" in more else {}
    if arguments is not None:
        function["arguments"] = arguments
    return {**({} if index is None else {"index": index}), **more, "function": function}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    """The chunk with usage."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [], "usage": counts}


def wire(*chunks: Mapping[str, Any]) -> bytes:
    """A complete stream."""
    return b"".join(map(event, chunks)) + event("[DONE]")


def relayed(voice: Voice, one: Dialect, pieces: Iterable[bytes], work: Work = Work.CHAT) -> tuple[bytes, list[Part]]:
    """What a client gets of a stream that arrives in `pieces` and then ends, as the relay passes it on."""
    reader = ChatStreamReader(parse_all=one.parse_all, work=work)
    out, parts = [], []
    for piece in pieces:
        new = reader.feed(piece)
        parts += new
        out.append(voice.say([part for part in new if not isinstance(part, Fault)]))
    parts += reader.end()
    if any(isinstance(part, Fault) for part in parts):
        out.append(voice.fail(CUT))
    return b"".join(out), parts


def said(name: str, data: bytes | Sequence[bytes], **more: Any) -> bytes:
    """What a client of a surface gets of an upstream's chat stream."""
    pieces = [data] if isinstance(data, bytes) else data
    work = Work.COMPLETIONS if name == "completions" else Work.CHAT
    return relayed(voice_of(name, **more), dialect(name), pieces, work)[0]


def unary(name: str, data: bytes, **more: Any) -> dict[str, Any]:
    """The unary answer to the same, put together by the relay's assembler."""
    assembler = Assembler()
    for part in ChatStreamReader(parse_all=True).feed(data):
        if isinstance(part, Chunk) and part.parsed is not None:
            assembler.add(part.parsed)
    more.setdefault("stream", False)
    return dialect(name).answer(assembler.answer(), asked_of(name, **more), SAID)


def events(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream of ours, each with its name proved equal to its type."""
    out = []
    for block in data.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in lines and lines["data"] != "[DONE]":
            out.append(json.loads(lines["data"]))
            assert "event" not in lines or lines["event"] == out[-1]["type"]
    return out


def _answering(body: bytes, kind: str = "text/event-stream", status: int = 200) -> httpx2.MockTransport:
    return httpx2.MockTransport(lambda _: httpx2.Response(status, content=body, headers={"content-type": kind}))


def openai_client(body: bytes, **more: Any) -> openai.OpenAI:
    """OpenAI's SDK, answered with `body`."""
    http = httpx2.Client(transport=_answering(body, **more))
    return openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)


def anthropic_client(body: bytes, **more: Any) -> anthropic.Anthropic:
    """Anthropic's SDK, answered with `body`."""
    http = httpx2.Client(transport=_answering(body, **more))
    return anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=http, max_retries=0)


def heard_by_openai(body: bytes) -> openai.types.responses.Response:
    """The response that OpenAI's SDK has at the end of a stream, after its own accumulator took every event."""
    with openai_client(body).responses.stream(model="m", input="hi") as stream:
        last = list(stream)[-1]
    assert last.type in ("response.completed", "response.incomplete")
    return last.response


def heard_by_anthropic(body: bytes) -> Message:
    """The message that Anthropic's SDK puts together from a stream."""
    ask = anthropic_client(body).messages.stream
    with ask(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream:
        return stream.get_final_message()


Heard = tuple[str, str, list[tuple[str, str]]]
"""Thoughts, text, and calls as (name, arguments)."""


def heard_in_chat(data: bytes) -> Heard:
    """What a chat stream says, by the relay's assembler."""
    assembler = Assembler()
    for part in ChatStreamReader(parse_all=True).feed(data):
        if isinstance(part, Chunk) and part.parsed is not None:
            assembler.add(part.parsed)
    message = assembler.answer()["choices"][0]["message"]
    calls = [(one["function"]["name"], one["function"]["arguments"]) for one in message.get("tool_calls", ())]
    thought = message.get("reasoning") or message.get("reasoning_content") or ""
    return thought, message.get("content") or "", calls


def heard_in_deltas(name: str, data: bytes) -> Heard:
    """What a translated stream says in its deltas alone, joined by block."""
    kinds: dict[int, tuple[str, str]] = {}
    grown: dict[int, list[str]] = {}
    read: Callable[[dict[str, Any]], tuple[str, Any]] = _responses_delta if name == "responses" else _messages_delta
    for one in events(data):
        what, value = read(one)
        if what == "opened":
            kinds[value[0]] = value[1:]
            grown[value[0]] = []
        elif what == "grew":
            grown[value[0]].append(value[1])
    texts = {kind: "".join("".join(grown[at]) for at, (one, _) in kinds.items() if one == kind) for kind in "rt"}
    calls = [(named, "".join(grown[at])) for at, (kind, named) in kinds.items() if kind == "c"]
    return texts["r"], texts["t"], calls


def _responses_delta(one: dict[str, Any]) -> tuple[str, Any]:
    kinds = {"reasoning": "r", "message": "t", "function_call": "c"}
    if one["type"] == "response.output_item.added":
        return "opened", (one["output_index"], kinds[one["item"]["type"]], one["item"].get("name", ""))
    if one["type"].endswith(".delta"):
        return "grew", (one["output_index"], one["delta"])
    return "", None


def _messages_delta(one: dict[str, Any]) -> tuple[str, Any]:
    kinds = {"thinking": "r", "text": "t", "tool_use": "c"}
    if one["type"] == "content_block_start":
        return "opened", (one["index"], kinds[one["content_block"]["type"]], one["content_block"].get("name", ""))
    if one["type"] == "content_block_delta":
        (text,) = (value for name, value in one["delta"].items() if name != "type")
        return "grew", (one["index"], text)
    return "", None
