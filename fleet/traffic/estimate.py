"""How many tokens a request will be, before any tokenizer saw it: by what earlier ones were. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fleet.traffic.work import Shape, Work

EXPECTED_OUTPUT_TOKENS = 512
"""What an answer is expected to be when its client allows more: few answers use all that they may."""

_FIRST_RATIO = 1 / 3.5
_LEAST_RATIO = 1 / 12
_MOST_RATIO = 1.0
_TELLING_BYTES = 256
_WEIGHT = 0.1
_KNOWN_AFTER = 8
_CERTAIN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class TokenRatio:
    """Tokens per byte of prompt, as one model's tokenizer made them. `seen` counts the prompts that told.

    An outlier moves it little: what one prompt says is bounded, and weighs a tenth (more among the first ten).
    """

    tokens_per_byte: float = _FIRST_RATIO
    seen: int = 0

    def learned(self, prompt_bytes: int, prompt_tokens: int) -> TokenRatio:
        """After a prompt of `prompt_bytes` was counted as `prompt_tokens`. A tiny one is mostly template: no news."""
        if prompt_bytes < _TELLING_BYTES or prompt_tokens <= 0:
            return self
        said = _bounded(prompt_tokens / prompt_bytes)
        weight = max(_WEIGHT, 1 / (self.seen + 2))
        return TokenRatio(_bounded(self.tokens_per_byte + weight * (said - self.tokens_per_byte)), self.seen + 1)

    def tokens(self, prompt_bytes: int) -> int:
        """What `prompt_bytes` will be, as well as is known."""
        return math.ceil(max(prompt_bytes, 0) * self.tokens_per_byte)

    def least_tokens(self, prompt_bytes: int) -> int:
        """What `prompt_bytes` will be at the very least: enough to refuse by."""
        certain = self.tokens_per_byte * _CERTAIN_SHARE if self.seen >= _KNOWN_AFTER else _LEAST_RATIO
        return int(max(prompt_bytes, 0) * max(certain, _LEAST_RATIO))


def expected_output_tokens(shape: Shape) -> int:
    """How long the answer will be, for load and memory. 0 allowed tokens mean that nobody said."""
    if shape.work is Work.EMBEDDINGS:
        return 0
    allowed = shape.output_tokens
    return min(allowed, EXPECTED_OUTPUT_TOKENS) if allowed > 0 else EXPECTED_OUTPUT_TOKENS


def _bounded(ratio: float) -> float:
    return min(max(ratio, _LEAST_RATIO), _MOST_RATIO)
