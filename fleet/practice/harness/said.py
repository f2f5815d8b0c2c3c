"""What a model said in a conversation, as far as expectations look at it. In memory only: it is written nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.traffic.tools.heard import Heard


@dataclass(frozen=True, kw_only=True)
class Called:
    """One call of a tool. `arguments` None = they are no JSON object; `raw` is what was sent."""

    tool: str
    arguments: dict[str, Any] | None
    raw: str


@dataclass(frozen=True, kw_only=True)
class Said:
    """All steps. `texts` are the answers in order, `finish` says why the last of them ended."""

    texts: tuple[str, ...] = ()
    calls: tuple[Called, ...] = ()
    finish: str = ""

    @property
    def text(self) -> str:
        """The last answer."""
        return self.texts[-1] if self.texts else ""


def calls_of(heard: Heard) -> tuple[Called, ...]:
    """The calls of one answer. Total."""
    return tuple(_called(call.get("function")) for call in heard.calls)


def _called(function: object) -> Called:
    known = function if isinstance(function, dict) else {}
    name, raw = known.get("name"), known.get("arguments")
    arguments: object = raw
    if isinstance(raw, str):
        try:
            arguments = msgspec.json.decode(raw) if raw.strip() else {}
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            arguments = None
    return Called(
        tool=name if isinstance(name, str) else "",
        arguments=arguments if isinstance(arguments, dict) else {} if raw is None else None,
        raw=raw if isinstance(raw, str) else "" if raw is None else str(raw),
    )
