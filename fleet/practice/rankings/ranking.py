"""A week's ranking as it is archived, and the list of models beside it. Schema 1. Pure.

Tokens are those of each model's own tokenizer. A model is compared with itself over weeks; tokens of two models are
never compared as equal work. Which rank a model has is the source's word.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

TOP = 10
NEVER_EXPIRES = "2098-12-31"
"""How OpenRouter says that a model stays."""


class Ranked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model of a week. `slug` is its name in the source: a dated permaslug, or what a table calls it.

    `id` is what a request asks for, when the model was found in a list of models; "" = it was not. `tokens` None = the
    source does not say. `printed` is the change on the week before that the source prints, in percent.
    """

    rank: int
    slug: str
    name: str = ""
    vendor: str = ""
    id: str = ""
    tokens: int | None = None
    printed: Decimal | None = None

    @property
    def title(self) -> str:
        """For people."""
        return self.name or self.id or self.slug


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """One ISO week, best rank first. `as_of` is when its source said it.

    `attribution` is shown wherever its figures are. `total_tokens` is the whole platform's, where that is known.
    """

    week: str
    as_of: str
    source: str
    attribution: str
    models: tuple[Ranked, ...]
    total_tokens: int | None = None
    schema: int = 1

    @property
    def top(self) -> Iterator[Ranked]:
        """Its first ten ranks."""
        return (one for one in self.models if one.rank <= TOP)

    @property
    def covers_top(self) -> bool:
        """Whether it tells all of the first ten: only then, who is not among them is known not to be."""
        return {one.rank for one in self.models} >= set(range(1, TOP + 1))

    @property
    def last_rank(self) -> int:
        """How far down it tells every rank; 0 when it does not tell the first."""
        told, last = {one.rank for one in self.models}, 0
        while last + 1 in told:
            last += 1
        return last


class ListedModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that is offered. Prices in USD per token, as decimal text; None = not told, or it varies."""

    id: str
    slug: str = ""
    name: str = ""
    prompt: str | None = None
    completion: str | None = None
    context_tokens: int | None = None
    expires_on: str | None = None


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The models that were offered at `read_at` (UTC), by id."""

    read_at: str
    models: tuple[ListedModel, ...] = ()
    schema: int = 1

    def find(self, asked: str) -> ListedModel | None:
        """By what a request asks for: its id, else without the suffix that only says how providers are sorted."""
        plain = asked.removesuffix(":nitro").removesuffix(":floor")
        return next((one for one in self.models if one.id == asked), None) or next(
            (one for one in self.models if one.id == plain), None
        )
