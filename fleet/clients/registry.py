"""The clients that fleet writes configurations for, by the name that people type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from fleet.clients.claude_code import claude_code
from fleet.clients.codex import codex
from fleet.clients.configuration import Configuration, Offer
from fleet.clients.continuedev import continuedev
from fleet.clients.cursor import cursor
from fleet.clients.litellm import litellm
from fleet.clients.llm import llm
from fleet.clients.openclaw_client import openclaw
from fleet.clients.opencode import opencode

CLIENTS: Mapping[str, Callable[[Offer], Configuration]] = MappingProxyType(
    {
        "opencode": opencode,
        "claude-code": claude_code,
        "codex": codex,
        "continue": continuedev,
        "openclaw": openclaw,
        "llm": llm,
        "litellm": litellm,
        "cursor": cursor,
    }
)
