"""How many tokens a prompt of so many bytes is, at most, by what earlier prompts of the model were. Pure."""

from __future__ import annotations

STEPS = 256
"""How fine ratios are told apart: tokens per 256 bytes."""
LEAST_SEEN = 1000
"""How many prompts a 99.9th percentile needs."""
_TELLING_BYTES = 256
_TOLD_PER_MILLE = 999
_MARGIN_PERCENT = 130
_SLACK_TOKENS = 1024


class TokensPerByte:
    """Counts the ratios of one model's prompts; of fixed size. Older ones fade: at 64,000 all counts are halved."""

    def __init__(self) -> None:
        self._counts = [0] * (STEPS + 1)
        self._seen = 0

    @property
    def seen(self) -> int:
        """How many prompts tell."""
        return self._seen

    def saw(self, prompt_bytes: int, prompt_tokens: int) -> None:
        """A prompt of `prompt_bytes` was counted as `prompt_tokens`. A tiny one is mostly template: no news."""
        if prompt_bytes < _TELLING_BYTES or prompt_tokens <= 0:
            return
        self._counts[min(-(-prompt_tokens * STEPS // prompt_bytes), STEPS)] += 1
        self._seen += 1
        if self._seen >= 64 * LEAST_SEEN:
            self._counts = [count // 2 for count in self._counts]
            self._seen = sum(self._counts)

    def upper(self, prompt_bytes: int) -> int | None:
        """1.3 times the 99.9th percentile, and 1,024 more; None while too few prompts told."""
        if self._seen < LEAST_SEEN:
            return None
        above = self._seen
        for step, count in enumerate(self._counts):
            above -= count
            if above * 1000 <= self._seen * (1000 - _TOLD_PER_MILLE):
                return -(-prompt_bytes * step * _MARGIN_PERCENT // (STEPS * 100)) + _SLACK_TOKENS
        return None
