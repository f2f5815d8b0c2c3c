"""What a request asks of an upstream, and how much: the words that choice, engines and policy share. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleet.vocabulary.names import Lane


class Work(StrEnum):
    """What an upstream is asked for. Every surface of a client comes down to one of these."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"

    @property
    def path(self) -> str:
        """Where upstreams take it, below their base URL."""
        return _PATHS[self]


_PATHS = {
    Work.CHAT: "/v1/chat/completions",
    Work.COMPLETIONS: "/v1/completions",
    Work.EMBEDDINGS: "/v1/embeddings",
}


class Shape(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The size and kind of a request: all that choice may know of it.

    `prompt_tokens` is predicted (fleet.traffic.estimate), `output_tokens` the most that the client allows. `chain` are
    the hashes of the prompt's beginnings, shortest first (fleet.traffic.prefix); `session` names the conversation.
    """

    work: Work = Work.CHAT
    prompt_bytes: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    chain: tuple[int, ...] = ()
    session: str = ""
    lane: Lane = Lane.INTERACTIVE
