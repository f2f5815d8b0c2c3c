"""Every dialect by its name."""

from __future__ import annotations

from fleet.traffic.dialects.chat import ChatDialect
from fleet.traffic.dialects.completions import CompletionsDialect
from fleet.traffic.dialects.dialect import Dialect
from fleet.traffic.dialects.embeddings import EmbeddingsDialect
from fleet.traffic.dialects.messages.surface import MessagesDialect
from fleet.traffic.dialects.responses.surface import ResponsesDialect

DIALECTS: tuple[Dialect, ...] = (
    ChatDialect(),
    CompletionsDialect(),
    ResponsesDialect(),
    MessagesDialect(),
    EmbeddingsDialect(),
)
"""In the order in which documents name them."""


def dialect(name: str) -> Dialect:
    """The dialect of a name. Raises KeyError."""
    for one in DIALECTS:
        if one.name == name:
            return one
    raise KeyError(name)
