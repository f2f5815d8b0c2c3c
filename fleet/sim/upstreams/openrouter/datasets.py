"""What OpenRouter tells beside answers: a past generation, endpoints without retention, daily rankings. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from fleet.sim.upstreams.openrouter.bill import Generation
from fleet.sim.upstreams.openrouter.catalogue import SimModel
from fleet.sim.upstreams.openrouter.errors import error_body

_STEP_DAYS = {"day": 1, "week": 7}
_LONGEST_DAYS = 400
_JUMP_PERCENT = 70


def generation(found: Generation) -> dict[str, Any]:
    """`GET /generation`."""
    return {
        "data": {
            "id": found.id,
            "model": found.model,
            "provider_name": found.provider,
            "total_cost": found.cost,
            "usage": found.cost,
            "upstream_inference_cost": None,
            "cancelled": found.cancelled,
            "streamed": found.streamed,
            "finish_reason": found.finish_reason,
            "native_finish_reason": found.finish_reason,
            "tokens_prompt": found.prompt_tokens,
            "tokens_completion": found.completion_tokens,
            "native_tokens_prompt": found.prompt_tokens,
            "native_tokens_completion": found.completion_tokens,
            "native_tokens_cached": found.cached_tokens,
            "native_tokens_reasoning": found.reasoning_tokens,
            "latency": found.latency_ms,
            "generation_time": found.latency_ms,
            "is_byok": False,
            "created_at": found.at.isoformat(),
        }
    }


def zdr_endpoints(models: Iterable[SimModel]) -> dict[str, Any]:
    """`GET /endpoints/zdr`."""
    return {
        "data": [
            {
                "name": f"{provider.name} | {model.id}",
                "model_id": model.id,
                "model_name": model.id,
                "context_length": model.context_tokens,
                "provider_name": provider.name,
                "pricing": {"prompt": provider.prompt, "completion": provider.completion},
            }
            for model in models
            for provider in model.providers
            if provider.zdr and not model.retired
        ]
    }


def rankings(models: Iterable[SimModel], query: Mapping[str, str], *, today: date) -> tuple[int, dict[str, Any]]:
    """`GET /datasets/rankings-daily`: numbers that follow from model and date; weeks begin on Monday.

    Most weeks are within a tenth of a model's level; one in seven is far above it, so that there is something to see.
    """
    period = query.get("period", "day")
    start, end = _date(query.get("start_date")), _date(query.get("end_date"))
    end = end or today - timedelta(days=1)
    start = start or end - timedelta(days=29)
    if period not in (*_STEP_DAYS, "month") or start > end or (end - start).days > _LONGEST_DAYS:
        return 400, error_body(400, message="Invalid date range or period")
    slugs = [*dict.fromkeys(str(model.entry()["canonical_slug"]) for model in models), "other"]
    days = [start + timedelta(days=at) for at in range((end - start).days + 1)]
    begins = list(dict.fromkeys(_bucket(day, period) for day in days))
    rows = [
        {"date": begin.isoformat(), "model_permaslug": slug, "total_tokens": str(_tokens(slug, begin))}
        for begin in begins
        for slug in slugs
    ]
    meta = {
        "as_of": f"{today.isoformat()}T00:00:00Z",
        "version": "v1",
        "start_date": start.isoformat(),
        "end_date": end.isoformat(),
    }
    return 200, {"data": rows, "meta": meta}


def _bucket(day: date, period: str) -> date:
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def _tokens(slug: str, begin: date) -> int:
    level, weekly = _hashed(slug), _hashed(f"{slug} {begin}")
    jump = _JUMP_PERCENT if weekly % 7 == 0 else 0
    return (10**11 + level % (3 * 10**12)) * (90 + weekly % 21 + jump) // 100


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])


def _date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        return None
