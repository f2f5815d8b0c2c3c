"""Token counts out of OpenAI's `usage`. Total: what is not said is None, and never a false 0. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Tokens(msgspec.Struct, frozen=True):
    """Counts in tokens. `cached` and `written` are parts of `input`, `reasoning` is a part of `output`."""

    input: int
    output: int
    total: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0


def read_tokens(usage: Any) -> Tokens | None:
    """The counts, or None where the upstream did not say them."""
    if not isinstance(usage, Mapping):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    inside, outside = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    inside = inside if isinstance(inside, Mapping) else {}
    outside = outside if isinstance(outside, Mapping) else {}
    total = _count(usage.get("total_tokens"))
    return Tokens(
        prompt,
        completion,
        prompt + completion if total is None else total,
        _count(inside.get("cached_tokens")) or 0,
        _count(inside.get("cache_write_tokens")) or 0,
        _count(outside.get("reasoning_tokens")) or 0,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
