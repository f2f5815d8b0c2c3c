"""What it takes for a verdict. Every number that decides is here, and a verdict carries the terms it was made by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Terms:
    """`least_prompts`: below so many common prompts there is no verdict; `least_calls`: below so many common prompts
    with scored tool calls these say nothing.

    Answers or tool calls differ when the interval of their difference leaves out 0, the sign test agrees, and the
    difference is at least `share_margin`. They are as good when the interval does not go below `-as_good_margin`.
    Cost and P95 differ when the interval of their ratio lies wholly beyond `1 ± cost_margin` or `1 ± p95_margin`.
    """

    least_prompts: int = 30
    least_calls: int = 10
    share_margin: float = 0.04
    as_good_margin: float = 0.10
    cost_margin: float = 0.10
    p95_margin: float = 0.25
    confidence: float = 0.98
    resamples: int = 2000
    seed: int = 2026
