"""Something in a ranking or a model list that a person should decide about. Schema 1, part of a ticket. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What happened. Of one model and week at most one of the first four."""

    ENTRANT = "entrant"
    DROPOUT = "dropout"
    RISE = "rise"
    FALL = "fall"
    VANISHED = "vanished"
    EXPIRING = "expiring"
    PRICE = "price"


class WowFrom(StrEnum):
    """Where a change on the week before comes from: both weeks' tokens, or what the source prints."""

    COMPUTED = "computed"
    PRINTED = "printed"
    UNKNOWN = ""


class Subject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which model it is about. `key` is the same over weeks and sources; `served` are our names of it."""

    key: str
    title: str
    id: str = ""
    vendor: str = ""
    served: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


class PricePair(msgspec.Struct, frozen=True, kw_only=True):
    """USD per token, as decimal text; None = not told."""

    prompt: str | None = None
    completion: str | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finding of a week, with its evidence. What is None was not told; ranks and tokens are the sources' own.

    `wow_percent` and `printed_percent` are decimal text, prices those of the list of models. `before_week` is "" where
    nothing was compared. `notes` are sentences about how far the evidence goes.
    """

    kind: Kind
    week: str
    subject: Subject
    before_week: str = ""
    rank: int | None = None
    rank_before: int | None = None
    tokens: int | None = None
    tokens_before: int | None = None
    wow_percent: str | None = None
    wow_from: WowFrom = WowFrom.UNKNOWN
    printed_percent: str | None = None
    price: PricePair | None = None
    price_before: PricePair | None = None
    expires_on: str | None = None
    said_by: str = ""
    notes: tuple[str, ...] = ()
    attribution: str = ""
