"""A share as two whole numbers: at most `part` of every `whole` requests. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.traffic.budget.exact import exact


@dataclass(frozen=True, slots=True)
class Share:
    """p/q of SPEC section 5.1 in lowest terms: `part` of every `whole`."""

    part: int
    whole: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """`"0.10"` is 1 of 10. Raises NotExact: for a float, below 0, above 1, more than 12 digits after the point."""
        value = exact(text, most=1)
        return cls(value.numerator, value.denominator)

    @property
    def rest(self) -> int:
        """What is not of the share, of every `whole`: the price of one gray request, in credit."""
        return self.whole - self.part
