"""A Responses stream: the events of a response, from the chunks of a chat. Pure.

Every event is numbered. Items open in order of their `output_index`; a whole response ends the stream: completed,
incomplete, or failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from fleet.traffic.chat_stream import Chunk, Done, Part
from fleet.traffic.dialects.blocks import Block, Blocks, Happened, Kind, Step
from fleet.traffic.dialects.delta import read_chunk
from fleet.traffic.dialects.dialect import Asked, Said
from fleet.traffic.dialects.responses.body import ended, failure_of, response_body, stem_of, usage_of
from fleet.traffic.dialects.responses.items import arguments_of, content_part, item, item_id
from fleet.traffic.dialects.responses.toolbox import Toolbox, free_text
from fleet.traffic.dialects.tokens import Tokens, read_tokens
from fleet.traffic.openai_error import ApiError

_encode = msgspec.json.encode


class ResponsesVoice:
    """Says one response."""

    def __init__(self, asked: Asked, said: Said) -> None:
        self._stem = stem_of(said)
        self._toolbox = Toolbox(asked.original)
        self._blocks = Blocks(lambda place: f"call_{self._stem}_{place}")
        body = response_body(asked.original, said)
        # An agent's tools and instructions are 40 KB, said three times: encoded once.
        self._body = {**body, **{name: msgspec.Raw(_encode(body[name])) for name in ("tools", "instructions")}}
        self._next = 0
        self._finish: str | None = None
        self._tokens: Tokens | None = None
        self._out: list[bytes] = []

    def say(self, parts: Sequence[Part]) -> bytes:
        """Whole events."""
        for part in parts:
            if isinstance(part, Chunk):
                if part.parsed is not None:
                    self._take(part.parsed)
            elif isinstance(part, Done):
                self._end()
        return self._said()

    def fail(self, error: ApiError) -> bytes:
        """`response.failed`. The response is announced first where it was not."""
        self._begin()
        output = self._output(cut="incomplete")
        body = {**self._body, "status": "failed", "error": failure_of(error), "output": output}
        self._event("response.failed", {"response": {**body, "usage": usage_of(self._tokens)}})
        return self._said()

    def _take(self, chunk: dict[str, Any]) -> None:
        self._begin()
        delta = read_chunk(chunk)
        self._finish = delta.finish or self._finish
        if chunk.get("usage") is not None:
            self._tokens = read_tokens(chunk["usage"]) or self._tokens
        for step in self._blocks.take(delta):
            self._step(step)

    def _begin(self) -> None:
        if self._next == 0:
            self._event("response.created", {"response": self._body})
            self._event("response.in_progress", {"response": self._body})

    def _end(self) -> None:
        self._begin()
        state = ended(self._finish)
        cut = "completed" if state["status"] == "completed" else "incomplete"
        for step in self._blocks.end():
            self._step(step, status=cut if step[1] is self._blocks.opened[-1] else "completed")
        body = {**self._body, **state, "output": self._output(cut=cut), "usage": usage_of(self._tokens)}
        self._event(f"response.{state['status']}", {"response": body})

    def _output(self, *, cut: str) -> list[dict[str, Any]]:
        """The items; `cut` is the status of the last one: it is what the end of the answer met."""
        opened = self._blocks.opened
        return [
            item(block, self._toolbox, self._stem, status=cut if block is opened[-1] else "completed")
            for block in opened
        ]

    def _step(self, step: Step, *, status: str = "completed") -> None:
        happened, block, text = step
        match block.kind:
            case Kind.CALL:
                self._call(happened, block, text, status)
            case Kind.REASONING:
                self._reasoning(happened, block, text, status)
            case _:
                self._message(happened, block, text, status)

    def _message(self, happened: Happened, block: Block, text: str, status: str) -> None:
        at = {"item_id": item_id(block, None, self._stem), "output_index": block.place, "content_index": 0}
        refused = block.kind is Kind.REFUSAL
        match happened:
            case Happened.OPENED:
                self._added(block)
                self._event("response.content_part.added", {**at, "part": content_part(block, "")})
            case Happened.GREW if refused:
                self._event("response.refusal.delta", {**at, "delta": text})
            case Happened.GREW:
                self._event("response.output_text.delta", {**at, "delta": text, "logprobs": []})
            case Happened.CLOSED:
                whole = block.text
                if refused:
                    self._event("response.refusal.done", {**at, "refusal": whole})
                else:
                    self._event("response.output_text.done", {**at, "text": whole, "logprobs": []})
                self._event("response.content_part.done", {**at, "part": content_part(block, whole)})
                self._done(block, status)

    def _reasoning(self, happened: Happened, block: Block, text: str, status: str) -> None:
        at = {"item_id": item_id(block, None, self._stem), "output_index": block.place, "summary_index": 0}
        match happened:
            case Happened.OPENED:
                self._added(block)
                part = {"type": "summary_text", "text": ""}
                self._event("response.reasoning_summary_part.added", {**at, "part": part})
            case Happened.GREW:
                self._event("response.reasoning_summary_text.delta", {**at, "delta": text})
            case Happened.CLOSED:
                whole = block.text
                part = {"type": "summary_text", "text": whole}
                self._event("response.reasoning_summary_text.done", {**at, "text": whole})
                self._event("response.reasoning_summary_part.done", {**at, "part": part})
                self._done(block, status)

    def _call(self, happened: Happened, block: Block, text: str, status: str) -> None:
        tool = self._toolbox.called(block.name)
        at = {"item_id": item_id(block, tool, self._stem), "output_index": block.place}
        match happened:
            case Happened.OPENED:
                self._added(block)
            case Happened.GREW if not tool.custom:  # the text of a custom tool is inside of a string: whole or not
                self._event("response.function_call_arguments.delta", {**at, "delta": text})
            case Happened.CLOSED if tool.custom:
                free = free_text(block.text)
                self._event("response.custom_tool_call_input.delta", {**at, "delta": free})
                self._event("response.custom_tool_call_input.done", {**at, "input": free})
                self._done(block, status)
            case Happened.CLOSED:
                whole = arguments_of(block)
                if whole != block.text:
                    self._event("response.function_call_arguments.delta", {**at, "delta": whole})
                done = {**at, "arguments": whole, "name": tool.name}
                self._event("response.function_call_arguments.done", done)
                self._done(block, status)

    def _added(self, block: Block) -> None:
        added = item(block, self._toolbox, self._stem, status="in_progress")
        self._event("response.output_item.added", {"output_index": block.place, "item": added})

    def _done(self, block: Block, status: str) -> None:
        done = item(block, self._toolbox, self._stem, status=status)
        self._event("response.output_item.done", {"output_index": block.place, "item": done})

    def _event(self, name: str, data: dict[str, Any]) -> None:
        data = {"type": name, **data, "sequence_number": self._next}
        self._next += 1
        self._out.append(b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data)))

    def _said(self) -> bytes:
        said = b"".join(self._out)
        self._out.clear()
        return said
