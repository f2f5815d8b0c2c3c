"""`GET /models` of OpenRouter -> the list of models that is archived beside a ranking. Total. Pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from fleet.practice.rankings.ranking import NEVER_EXPIRES, Catalogue, ListedModel

_DEAREST_USD = Decimal(1)
_FINEST_EXPONENT = -30


def parse_models(body: bytes, *, read_at: str) -> Catalogue | None:
    """The models by id; what is odd in one is not known of it.

    None for a body that is no list of models, or one of none: that nothing is offered is not what it says.
    """
    try:
        listed: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    data = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(data, list):
        return None
    found: dict[str, ListedModel] = {}
    for entry in data:
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and name:
            found[name] = _model(name, entry)
    if not found:
        return None
    return Catalogue(read_at=read_at, models=tuple(found[name] for name in sorted(found)))


def _model(name: str, entry: dict[str, Any]) -> ListedModel:
    pricing = entry.get("pricing")
    prices = pricing if isinstance(pricing, dict) else {}
    context = entry.get("context_length")
    return ListedModel(
        id=name,
        slug=_text(entry.get("canonical_slug")),
        name=_text(entry.get("name")),
        prompt=_usd(prices.get("prompt")),
        completion=_usd(prices.get("completion")),
        context_tokens=context if isinstance(context, int) and not isinstance(context, bool) and context > 0 else None,
        expires_on=_day(entry.get("expiration_date")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _usd(value: Any) -> str | None:
    """USD per token in plain digits. None for the -1 of models whose price varies, and for what is no price."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        exact = Decimal(value if isinstance(value, str) else repr(value))
    except (InvalidOperation, ValueError):
        return None
    if not exact.is_finite() or not 0 <= exact <= _DEAREST_USD:
        return None
    exponent = exact.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < _FINEST_EXPONENT:
        return None
    return f"{exact.normalize():f}" if exact else "0"


def _day(value: Any) -> str | None:
    """The day after which it may be gone; None when it stays, or what is said is no day."""
    if not isinstance(value, str):
        return None
    try:
        day = date.fromisoformat(value[:10])
    except ValueError:
        return None
    return None if day >= date.fromisoformat(NEVER_EXPIRES) else day.isoformat()
