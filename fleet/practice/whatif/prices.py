"""What tokens cost at a price, exactly. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fleet.traffic.config import Price
from fleet.vocabulary.money import PICO_PER_USD

_MILLION = 1_000_000
_MOST_EXPONENT = 30


class NoPrice(ValueError):
    """A text that is no price; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ModelPrice:
    """USD per million tokens; `request` USD for each. `cached` None = a cached token costs as any. `said_by`: who."""

    prompt: Fraction
    completion: Fraction
    cached: Fraction | None = None
    request: Fraction = Fraction(0)
    said_by: str = ""

    @property
    def cached_or_prompt(self) -> Fraction:
        """What a token costs that the provider had cached."""
        return self.prompt if self.cached is None else self.cached

    def usd(self, *, prompt: Fraction, cached: Fraction, completion: Fraction, requests: Fraction) -> Fraction:
        """What these tokens cost. `cached` are those of `prompt` that the provider had; never more than all of them."""
        known = min(cached, prompt)
        tokens = (prompt - known) * self.prompt + known * self.cached_or_prompt + completion * self.completion
        return tokens / _MILLION + requests * self.request

    def __str__(self) -> str:
        cached = "cached as any" if self.cached is None else f"cached {plain(self.cached)}"
        more = f", {plain(self.request)} a request" if self.request else ""
        return f"{plain(self.prompt)} in, {cached}, {plain(self.completion)} out{more}"


OWN = ModelPrice(prompt=Fraction(0), completion=Fraction(0), said_by="an own Mac")


def exact(number: float | str | Decimal) -> Fraction:
    """A number as it was written: 0.14 is 14/100. Raises NoPrice for what is none, below 0, or beyond all money."""
    text = str(number)
    exponent = text.lower().partition("e")[2]
    try:
        if exponent and abs(int(exponent)) > _MOST_EXPONENT:  # an exact 1e999999999 would take all memory
            raise NoPrice(f"{text} is too large or too small to reckon with")
        found = Fraction(text)
    except NoPrice:
        raise
    except (ValueError, ZeroDivisionError):
        raise NoPrice(f"{number!r} is not a number") from None
    if found < 0:
        raise NoPrice(f"{number} is below 0")
    return found


def of_upstream(price: Price, *, said_by: str) -> ModelPrice:
    """A price per token, as a gateway has it."""
    return ModelPrice(
        prompt=exact(price.prompt) * _MILLION,
        completion=exact(price.completion) * _MILLION,
        cached=None if price.cached is None else exact(price.cached) * _MILLION,
        request=exact(price.request),
        said_by=said_by,
    )


def stated(text: str) -> tuple[str, ModelPrice]:
    """`flash=0.14,0.28` or `flash=0.14,0.28,0.02`: USD per million in, out, and of what is cached. Raises NoPrice."""
    model, _, amounts = text.partition("=")
    parts = amounts.split(",")
    if not model.strip() or len(parts) not in (2, 3):
        raise NoPrice(f"{text!r} is no price")
    prompt, completion, *cached = map(exact, (part.strip() for part in parts))
    return model.strip(), ModelPrice(
        prompt=prompt, completion=completion, cached=cached[0] if cached else None, said_by="--price"
    )


def pico_of(usd: Fraction) -> int:
    """The nearest whole pico-dollar."""
    return round(usd * PICO_PER_USD)


def plain(number: Fraction) -> str:
    """A number as people write it: at most six places."""
    return f"{Decimal(number.numerator) / Decimal(number.denominator):.6f}".rstrip("0").rstrip(".")
