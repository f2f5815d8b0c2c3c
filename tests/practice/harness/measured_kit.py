"""Runs that were measured nowhere: results drawn from known rates, so that a verdict can be held to the truth."""

from __future__ import annotations

import random

from fleet.practice.harness.measured import Measured, measured
from fleet.practice.harness.results import Finished, Outcome, PromptHead, RunHead, TargetHead
from fleet.practice.harness.run import Run
from fleet.traffic.config import Price
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.names import Tier

CATEGORIES = ("drafting", "coding", "extraction", "summary", "tools")


def a_head(*targets: str, prompts: int = 50, repeats: int = 1) -> RunHead:
    return RunHead(
        run="planted",
        suite="fifty",
        suite_file="fifty",
        suite_digest="d",
        prompts=tuple(
            PromptHead(id=f"p{number:02}", category=CATEGORIES[number % 5], digest=f"{number}", tools=number % 2 == 0)
            for number in range(prompts)
        ),
        targets=tuple(
            TargetHead(name=name, model=f"models/{name}", where="front", tier=Tier.API, price=Price())
            for name in targets
        ),
        started_milliseconds=1_000,
        repeats=repeats,
    )


def drawn(
    name: str,
    *,
    seed: int,
    prompts: int = 50,
    repeats: int = 1,
    passing: float = 0.8,
    calling: float = 0.9,
    seconds: float = 2.0,
    pico: int | None = 1_000_000,
) -> Measured:
    """A target whose every try passes, calls, takes and costs as its rates say. Some prompts are hard for everybody."""
    draw = random.Random(seed)
    head = a_head(name, prompts=prompts, repeats=repeats)
    finished = {}
    for number, prompt in enumerate(head.prompts):
        hard = 0.5 if number % 7 == 0 else 1.0
        for repeat in range(repeats):
            one = Finished(
                target=name,
                prompt=prompt.id,
                repeat=repeat,
                outcome=Outcome.PASSED if draw.random() < passing * hard else Outcome.FAILED,
                at_milliseconds=2_000,
                steps=1,
                seconds=seconds * draw.lognormvariate(0.0, 0.4),
                first_token_seconds=0.2,
                prompt_tokens=100,
                completion_tokens=50,
                pico=None if pico is None else round(pico * draw.lognormvariate(0.0, 0.3)),
                tool_verdicts=_called(draw, calling) if prompt.tools else (),
                model=f"models/{name}",
            )
            finished[one.key] = one
    return measured(Run(head=head, finished=finished), name)


def _called(draw: random.Random, rate: float) -> tuple[ToolVerdict, ...]:
    return (ToolVerdict.OK if draw.random() < rate else ToolVerdict.BAD_JSON,)
