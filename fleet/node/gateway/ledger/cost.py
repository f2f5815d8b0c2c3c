"""What a provider says that an answer cost, exactly: numbers are read as decimals from the raw text. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fleet.vocabulary.money import NotMoney, pico_up


class _Details(msgspec.Struct):
    upstream_inference_cost: Decimal | None = None


class _Usage(msgspec.Struct):
    cost: Decimal | None = None
    is_byok: bool | None = None
    cost_details: _Details | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


class _Generation(msgspec.Struct):
    total_cost: Decimal | None = None
    is_byok: bool | None = None
    upstream_inference_cost: Decimal | None = None


class _GenerationAnswer(msgspec.Struct):
    data: _Generation


class Counters(msgspec.Struct, frozen=True):
    """What a provider counted for a key, USD: since it was made, and in this calendar month of UTC."""

    usage: Decimal
    usage_monthly: Decimal
    byok_usage: Decimal = Decimal(0)
    byok_usage_monthly: Decimal = Decimal(0)

    @property
    def total_pico(self) -> int:
        """Since the key was made, with what went over keys of one's own."""
        return pico_up(self.usage + self.byok_usage)

    @property
    def month_pico(self) -> int:
        """In this month."""
        return pico_up(self.usage_monthly + self.byok_usage_monthly)


class _KeyAnswer(msgspec.Struct):
    data: Counters


def cost_of_answer(raw: bytes) -> int | None:
    """`usage.cost` of an answer, or of the chunk of a stream that has it, in pico-dollars; None = it does not say.

    With a key of one's own at the inference provider (BYOK), what that one takes is added.
    """
    try:
        usage = msgspec.json.decode(raw, type=_Answer).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if usage is None or usage.cost is None:
        return None
    details = usage.cost_details
    return _sum(usage.cost, details.upstream_inference_cost if usage.is_byok and details is not None else None)


def cost_of_generation(raw: bytes) -> int | None:
    """The same of an answer to `GET /generation`."""
    try:
        found = msgspec.json.decode(raw, type=_GenerationAnswer).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if found.total_cost is None:
        return None
    return _sum(found.total_cost, found.upstream_inference_cost if found.is_byok else None)


def counters_of(raw: bytes) -> Counters | None:
    """An answer to `GET /key`; None = it does not say."""
    try:
        found = msgspec.json.decode(raw, type=_KeyAnswer).data
        if min(found.total_pico, found.month_pico) < 0:
            return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, NotMoney):
        return None
    return found


def _sum(cost: Decimal, more: Decimal | None) -> int | None:
    try:
        pico = pico_up(cost if more is None else cost + more)
    except (NotMoney, ArithmeticError):
        return None
    return pico if pico >= 0 else None
