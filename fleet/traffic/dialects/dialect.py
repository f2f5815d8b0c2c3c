"""The dialects that clients speak: how a request is read, and how an answer, a stream and an error are said. Pure.

Upstreams are only ever asked in OpenAI's words (`Work`). A dialect translates on the client's side of the relay, so
routing, fallback, cancellation and accounting are the same for every surface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from fleet.traffic.chat_stream import Part
from fleet.traffic.openai_error import ApiError
from fleet.traffic.work import Work


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A client's request in OpenAI's words. `original` is what the client sent: the answer may have to repeat it.

    `model` is None when the client named none. `wants_usage`: the stream must carry usage.
    """

    work: Work
    request: Mapping[str, Any]
    original: Mapping[str, Any]
    model: str | None
    stream: bool
    wants_usage: bool


class Said(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an answer says of itself: the model under the client's name and as the upstream was asked, and our id."""

    shown: str
    sent: str
    request_id: str
    created_seconds: int


class Voice(Protocol):
    """Says one streamed answer. The bytes are whole events; b"" says nothing.

    `parse_all` of the dialect decides whether every chunk comes parsed.
    """

    def say(self, parts: Sequence[Part]) -> bytes:
        """What `parts` (chunks and Done; other parts are ignored) mean to the client."""
        ...

    def fail(self, error: ApiError) -> bytes:
        """The last event of a stream that failed: an error, never an end that looks complete."""
        ...


class Dialect(Protocol):
    """One surface of the gateway."""

    @property
    def name(self) -> str:
        """For logs and metrics: `chat`, `completions`, `responses`, `messages`, `embeddings`."""
        ...

    @property
    def parse_all(self) -> bool:
        """Whether a voice needs every chunk parsed."""
        ...

    def read(self, body: Mapping[str, Any]) -> Asked:
        """The request in OpenAI's words. Unknown fields pass or go, never refuse. Raises Refused."""
        ...

    def voice(self, asked: Asked, said: Said) -> Voice:
        """A voice for one streamed answer."""
        ...

    def keepalive(self) -> bytes:
        """A sign of life before the answer has begun; valid before any event of the dialect."""
        ...

    def answer(self, answer: Mapping[str, Any], asked: Asked, said: Said) -> dict[str, Any]:
        """A unary answer: `answer` is OpenAI's of the same work, complete."""
        ...

    def error(self, error: ApiError, *, request_id: str = "") -> bytes:
        """The body of an error answer; `request_id` where the dialect says it in the body."""
        ...
