"""What the answers of one prompt add up to."""

from __future__ import annotations

from fleet.practice.harness.answer import Answer
from fleet.vocabulary.contracts.ledger import ToolVerdict


class Sums:
    """Add every answer, the retried ones too. What one of the whole ones does not tell makes the sum unknown.

    `above_price`: one cost more than its stated price allows.
    """

    def __init__(self) -> None:
        self._whole: list[Answer] = []
        self._costs: list[int | None] = []
        self.verdicts: list[ToolVerdict] = []
        self.above_price = False

    def add(self, answer: Answer, pico: int | None, *, above: bool) -> None:
        """The next answer, and what it cost (None = nobody knows)."""
        if answer.whole:
            self._whole.append(answer)
        self._costs.append(pico)
        self.above_price = self.above_price or above

    @property
    def begun(self) -> bool:
        """Whether anything was asked."""
        return bool(self._costs)

    @property
    def seconds(self) -> float | None:
        """How long the answers took, without what was retried and the pauses between."""
        return sum(answer.seconds for answer in self._whole) if self._whole else None

    @property
    def first_token_seconds(self) -> float | None:
        """Of the first answer."""
        return self._whole[0].first_token_seconds if self._whole else None

    @property
    def tools_at_seconds(self) -> float | None:
        """When the first call was whole, counted from its own question."""
        return next((at for one in self._whole if (at := one.heard.first_call_at) is not None), None)

    @property
    def pico(self) -> int | None:
        """What all of it cost."""
        return sum_of(self._costs)

    @property
    def prompt_tokens(self) -> int | None:
        """Of all questions."""
        return sum_of([answer.tokens("prompt_tokens") for answer in self._whole])

    @property
    def completion_tokens(self) -> int | None:
        """Of all answers."""
        return sum_of([answer.tokens("completion_tokens") for answer in self._whole])

    @property
    def cached_tokens(self) -> int | None:
        """Of all questions."""
        return sum_of([answer.cached_tokens for answer in self._whole])

    @property
    def model(self) -> str:
        """Who the last answer says that it is."""
        return next((one.model for one in reversed(self._whole) if one.model), "")

    @property
    def upstream(self) -> str:
        """Where the last answer says that it comes from."""
        return next((one.upstream for one in reversed(self._whole) if one.upstream), "")


def sum_of(counts: list[int | None]) -> int | None:
    """The sum; None where one of them is unknown, since a part of a sum is no sum."""
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None
