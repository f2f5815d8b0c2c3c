"""How many tokens may go gray: the same cap in tokens of prompt and completion, as a second ledger. Pure.

A gray request reserves U, which its tokens cannot pass (a tokenizer over bytes makes no more tokens than bytes), and
is settled by what the provider counted; nobody knows = U. Proven tokens earn when they are known. So since it began:
rest * (reserved + settled gray) <= part * proven, plus what was counted above U. That is a debt: it blocks gray until
it is earned, also over midnight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.traffic.budget.calendar import DAY_MILLISECONDS
from fleet.traffic.gray.share import Share


@dataclass(frozen=True, slots=True)
class Held:
    """What a gray request reserved: `tokens`, of the span `epoch`."""

    epoch: int
    tokens: int


@dataclass(frozen=True, slots=True)
class TokenCap:
    """The credit of one route, or of a whole process, on one UTC day. Every change is a new value.

    A share of 1 caps nothing. `credit` is in parts of a token (part * proven - rest * gray); below 0 it is a debt.
    `epoch` counts the spans.
    """

    share: Share
    credit: int = 0
    day: int = 0
    epoch: int = 0

    def on(self, at_milliseconds: int) -> TokenCap:
        """On the day of `at_milliseconds` (UTC). Another day begins at 0, or with the debt of the last."""
        day = at_milliseconds // DAY_MILLISECONDS
        return self if day == self.day else replace(self._anew(), day=day)

    def under(self, share: Share) -> TokenCap:
        """Under another share it begins at 0, or with the debt."""
        return self if share == self.share else replace(self._anew(), share=share)

    def proven(self, tokens: int | None) -> TokenCap:
        """A request used so many tokens on a proven upstream; None = nobody knows, which earns nothing."""
        return replace(self, credit=self.credit + self.share.part * tokens) if tokens else self

    @property
    def in_debt(self) -> bool:
        """Whether a provider counted more than was thought possible, and that is not earned yet: worth an alarm."""
        return self.credit < 0 < self.share.rest

    def affords(self, tokens: int) -> bool:
        """Whether a gray request of at most `tokens` may go."""
        return self.share.rest == 0 or (self.share.part > 0 and self.credit >= self.share.rest * tokens)

    def reserved(self, tokens: int) -> tuple[TokenCap, Held]:
        """A gray request of at most `tokens` goes. Raises ValueError without credit."""
        if not self.affords(tokens):
            raise ValueError("there is no credit for so many gray tokens")
        return replace(self, credit=self.credit - self.share.rest * tokens), Held(self.epoch, tokens)

    def settled(self, held: Held, used: int | None) -> TokenCap:
        """It used so many; None = nobody knows: what it held stays used. A span that is over gives nothing back."""
        if used is None or (used < held.tokens and held.epoch != self.epoch):
            return self
        return replace(self, credit=self.credit + self.share.rest * (held.tokens - used))

    def _anew(self) -> TokenCap:
        return replace(self, credit=min(self.credit, 0), epoch=self.epoch + 1)
