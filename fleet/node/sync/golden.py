"""Golden answers: what a model is known to say when nothing is left to chance. Pure."""

from __future__ import annotations

import json

from fleet.vocabulary.contracts.desired import GenerateGate, GoldenAnswer

_SHOWN = 120
_BEFORE = 20


def asked(gate: GenerateGate, golden: GoldenAnswer | None) -> bytes:
    """The body of a completion: of a few tokens to anything, or of a golden prompt, greedily."""
    body = {
        "model": gate.model,
        "messages": [{"role": "user", "content": golden.prompt if golden else "Hello"}],
        "max_tokens": golden.max_tokens if golden else gate.max_tokens,
        "stream": False,
    }
    return json.dumps(body | ({"temperature": 0} if golden else {})).encode()


def completion(body: bytes) -> str | None:
    """What the model said; None when this is no completion."""
    try:
        said = json.loads(body or b"null")
        message = said["choices"][0].get("message")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    text = message.get("content") if isinstance(message, dict) else None
    return text if isinstance(text, str) else ""


def difference(golden: GoldenAnswer, said: str) -> str:
    """How an answer differs from the golden one, both shown from shortly before that; empty when it does not."""
    want, got = golden.answer.strip(), said.strip()
    if want == got:
        return ""
    at = next((i for i, (one, other) in enumerate(zip(want, got, strict=False)) if one != other), None)
    at = min(len(want), len(got)) if at is None else at
    return f"{golden.name}: expected {_shown(want, at)}, got {_shown(got, at)}"


def _shown(text: str, at: int) -> str:
    begin = max(0, at - _BEFORE)
    end = begin + _SHOWN
    return f"{'…' if begin else ''}{text[begin:end]!r}{'…' if end < len(text) else ''}"
