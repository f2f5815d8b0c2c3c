"""How large a request is at most, for what it may cost. Pure, total."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.traffic.budget.reserve import Prompt
from fleet.traffic.dialects.dialect import Asked
from fleet.traffic.work import Work

_IMAGES = frozenset({"image_url", "input_image", "image"})
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal", "thinking", "reasoning"})


def prompt_of(asked: Asked, size_bytes: int) -> Prompt:
    """The size of what is asked. All bytes of the client's JSON count as text: tools, escapes and names too."""
    messages = asked.request.get("messages")
    if not isinstance(messages, list):
        return Prompt(size_bytes)
    images, unbounded = 0, False
    for message in messages:
        content = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(content, list):
            for part in content:
                kind = part.get("type") if isinstance(part, Mapping) else None
                if kind in _IMAGES:
                    images += 1
                elif kind not in _TEXTS and not isinstance(part, str):
                    unbounded = True
    return Prompt(size_bytes, messages=len(messages), images=images, unbounded=unbounded)


def max_tokens_of(asked: Asked) -> int | None:
    """What the client allows an answer, the largest that it says; None = it does not say."""
    if asked.work is Work.EMBEDDINGS:
        return 0
    completion, most = _count(asked.request.get("max_completion_tokens")), _count(asked.request.get("max_tokens"))
    if completion is None or most is None:
        return most if completion is None else completion
    return max(completion, most)


def choices_of(asked: Asked) -> int:
    """How many answers it wants."""
    return _count(asked.request.get("n")) or 1


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
