"""What a simulated OpenRouter bills: a line per generation, exact, and kept over a restart where a folder is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from fleet.sim.upstreams.openrouter.catalogue import Provider
from fleet.sim.upstreams.openrouter.money import pico, usd

FILE = "bill.jsonl"


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One answer and its price in pico-dollars. `at` is the UTC time of its end. No text is kept."""

    id: str
    model: str
    provider: str
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cost_pico: int
    cancelled: bool = False
    streamed: bool = False
    finish_reason: str | None = None
    latency_ms: int = 0
    at: datetime

    @property
    def cost(self) -> Decimal:
        """USD, exact."""
        return usd(self.cost_pico)


def price(provider: Provider, *, prompt_tokens: int, completion_tokens: int) -> int:
    """Pico-dollars."""
    return pico(provider.prompt) * prompt_tokens + pico(provider.completion) * completion_tokens


class Bill:
    """All generations so far, oldest first."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = None if folder is None else folder / FILE
        self.generations: list[Generation] = []
        if self._file is not None and self._file.exists():
            lines = self._file.read_bytes().splitlines()
            self.generations = [msgspec.json.decode(line, type=Generation) for line in lines if line]

    def add(self, generation: Generation) -> None:
        """Bill it."""
        self.generations.append(generation)
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(generation) + b"\n")

    def find(self, generation_id: str) -> Generation | None:
        """The generation of that id."""
        return next((one for one in reversed(self.generations) if one.id == generation_id), None)

    @property
    def total_pico(self) -> int:
        """All that was billed, in pico-dollars."""
        return sum(one.cost_pico for one in self.generations)

    def usage(self, now: datetime) -> dict[str, Decimal]:
        """As `GET /key` tells it: in all, and since the beginning of this UTC day, ISO week and month."""
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        since = {
            "usage_daily": day,
            "usage_weekly": day - timedelta(days=day.weekday()),
            "usage_monthly": day.replace(day=1),
        }
        found = {
            name: usd(sum(one.cost_pico for one in self.generations if one.at >= start))
            for name, start in since.items()
        }
        return {"usage": usd(self.total_pico), **found}

    def told(self) -> dict[str, Any]:
        """For `GET /_sim/bill`."""
        lines = [{**msgspec.to_builtins(one), "cost": one.cost} for one in self.generations]
        return {"total": usd(self.total_pico), "total_pico": self.total_pico, "generations": lines}
