"""What an attempt may cost at most: what is reserved before its first byte goes out. Pure; whole pico-dollars.

R = U * price of a prompt's token + max_tokens * choices * price of a completion's + fees, at the dearest prices that
the upstream's conditions allow. The same prices go to OpenRouter as `provider.max_price`: R is a bound, not a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from fleet.traffic.config import Price
from fleet.vocabulary.money import pico_up, usd

MESSAGE_TOKENS = 16
"""What a chat template puts around one message, at most."""
IMAGE_TOKENS = 8192
"""What one image is in tokens, at most: no provider known to us counts more."""
NEAR_CAP = 20
"""Within this many reservations of a limit the guess from earlier prompts is not used: only what is certain."""
_TOKENS_PER_PRICE = 10**6


@dataclass(frozen=True, slots=True)
class Prompt:
    """The size of what is asked. `text_bytes` of all text in it, `tool_bytes` of the offered tools as JSON.

    `unbounded`: it holds a part whose tokens nothing here bounds (a file, audio or video that is named by an address).
    """

    text_bytes: int
    messages: int = 1
    tool_bytes: int = 0
    images: int = 0
    unbounded: bool = False

    @property
    def most_tokens(self) -> int:
        """What it is at most: a tokenizer over bytes makes no more tokens than there are bytes."""
        return self.text_bytes + self.tool_bytes + MESSAGE_TOKENS * self.messages + IMAGE_TOKENS * self.images


@dataclass(frozen=True, slots=True)
class Rates:
    """The dearest that an upstream may cost, in pico-dollars: per token, per request, per image."""

    prompt: int
    completion: int
    request: int = 0
    image: int = 0

    @classmethod
    def of(cls, price: Price, most: Price | None = None) -> Rates:
        """The larger of both in each part; a part of a pico-dollar counts as one. Raises NotMoney."""
        dearest = most or price
        return cls(
            prompt=max(pico_up(price.prompt), pico_up(dearest.prompt), pico_up(price.cached or "0")),
            completion=max(pico_up(price.completion), pico_up(dearest.completion)),
            request=max(pico_up(price.request), pico_up(dearest.request)),
            image=max(pico_up(price.image), pico_up(dearest.image)),
        )

    @property
    def free(self) -> bool:
        """Whether it costs nothing."""
        return not (self.prompt or self.completion or self.request or self.image)

    def cost(self, *, prompt_tokens: int, completion_tokens: int, images: int = 0) -> int:
        """What so much costs, at most."""
        tokens = prompt_tokens * self.prompt + completion_tokens * self.completion
        return tokens + self.request + images * self.image

    def max_price(self) -> dict[str, float]:
        """`provider.max_price` of OpenRouter: USD per million tokens, per request, per image.

        Not above these rates: each is exact, since six decimal places (twelve of a fee) are well within a double's.
        """
        per_million = {
            "prompt": usd(self.prompt * _TOKENS_PER_PRICE),
            "completion": usd(self.completion * _TOKENS_PER_PRICE),
            "request": usd(self.request),
            "image": usd(self.image),
        }
        return {name: float(price) for name, price in per_million.items()}


@dataclass(frozen=True, slots=True)
class Bound:
    """What is reserved, and of what it is made: tokens of the prompt and of the completions."""

    pico: int
    prompt_tokens: int
    completion_tokens: int


def clamped_max_tokens(asked: int | None, default: int, most: int | None = None) -> int:
    """What an answer may be, in tokens: as asked, or `default`; not more than `most` (the model's own bound)."""
    wanted = default if asked is None or asked <= 0 else asked
    return wanted if most is None else max(1, min(wanted, most))


def bound(
    prompt: Prompt,
    rates: Rates,
    *,
    max_tokens: int,
    choices: int = 1,
    guessed_tokens: int | None = None,
    headroom_pico: int | None = None,
    context_tokens: int | None = None,
) -> Bound | None:
    """What an attempt may cost at most; None when nothing bounds it.

    `max_tokens` is what each of `choices` answers is told to stop at. `guessed_tokens` is what such prompts are at most
    (TokensPerByte.upper); it is used unless less than 20 such attempts are left of `headroom_pico`. A prompt never is
    more than the model's `context_tokens`.
    """
    if prompt.unbounded and context_tokens is None:
        return None
    certain = prompt.most_tokens
    if context_tokens is not None:
        certain = context_tokens if prompt.unbounded else min(certain, context_tokens)
    completion = max_tokens * max(choices, 1)

    def of(tokens: int) -> Bound:
        cost = rates.cost(prompt_tokens=tokens, completion_tokens=completion, images=prompt.images)
        return Bound(cost, tokens, completion)

    if guessed_tokens is None or prompt.unbounded or guessed_tokens >= certain:
        return of(certain)
    guess = of(guessed_tokens)
    if headroom_pico is not None and headroom_pico < NEAR_CAP * guess.pico:
        return of(certain)
    return guess


def cost_of_usage(rates: Rates, usage: Mapping[str, object], *, images: int = 0) -> int | None:
    """What the prices say that reported tokens cost, where no better source tells; None without both counts.

    An estimate: it knows nothing of discounts, so it is not below the bill.
    """
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return rates.cost(prompt_tokens=max(prompt, 0), completion_tokens=max(completion, 0), images=images)


def reported_pico(
    cost_usd: str | int | Decimal | None, upstream_cost_usd: str | int | Decimal | None = None
) -> int | None:
    """A cost that a provider reports, from the text of the number; with one's own key at a provider its bill comes on
    top. None when none is reported. Raises NotMoney.
    """
    if cost_usd is None:
        return None
    return pico_up(cost_usd) + (0 if upstream_cost_usd is None else pico_up(upstream_cost_usd))
