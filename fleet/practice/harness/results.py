"""What a run writes down: its plan once, then a line per event. Metadata only: no prompt and no answer is in it.

A line is complete or it is not there. Money that may be spent is written before it can be (`Asked`), what it became
after it (`Settled`); what is asked and never settled counts as spent in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from fleet.traffic.config import Price
from fleet.vocabulary.contracts.ledger import CostSource, ToolVerdict
from fleet.vocabulary.names import Tier

SCHEMA = 1


class Outcome(StrEnum):
    """What became of one prompt at one target. `unmeasured`: the target failed, which says nothing of its answers."""

    PASSED = "passed"
    FAILED = "failed"
    UNMEASURED = "unmeasured"


class PromptHead(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt of the suite, without its text. `digest` is of all of it. `tools`: it offers some."""

    id: str
    category: str
    digest: str
    tools: bool = False


class TargetHead(msgspec.Struct, frozen=True, kw_only=True):
    """Who is measured: `model` is what is asked for, `where` the door (`front`, or a base URL), `key` the reference of
    its key. `price` None = unknown. An own machine is free, and so is what the upstreams in `own` answer.
    `max_price`: the price goes along with every request, as OpenRouter's bound on its providers.
    """

    name: str
    model: str
    where: str
    key: str = ""
    tier: Tier | None = None
    price: Price | None = None
    own: tuple[str, ...] = ()
    max_price: bool = False


def with_learned(targets: Sequence[TargetHead], learned: Sequence[TargetHead]) -> tuple[TargetHead, ...]:
    """The targets, with those in place of which more is known by now."""
    known = {one.name: one for one in learned}
    return tuple(known.get(one.name, one) for one in targets)


class RunHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a run set out to do; `run.json`. It never changes: going on with a run means doing this.

    `suite_file` is the suite as it was named: a name, or a path.
    """

    run: str
    suite: str
    suite_file: str
    suite_digest: str
    prompts: tuple[PromptHead, ...]
    targets: tuple[TargetHead, ...]
    started_milliseconds: int
    repeats: int = 1
    schema: int = SCHEMA


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation, and whether it was met. `check` is its kind, with a number or a tool; no text of the suite."""

    check: str
    passed: bool


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag="begun", tag_field="line"):
    """Somebody began the run, or went on with it, under this ceiling (None = without one).

    `learned`: targets that were away when the run was planned, with what they say of themselves now.
    """

    at_milliseconds: int
    ceiling_pico: int | None = None
    learned: tuple[TargetHead, ...] = ()


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="asked", tag_field="line"):
    """Money that one request may cost, at most. `id` is of this request alone. Written before it goes out."""

    id: str
    target: str
    at_milliseconds: int
    pico: int


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag="settled", tag_field="line"):
    """What that request cost."""

    id: str
    target: str
    pico: int
    source: CostSource


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished", tag_field="line"):
    """One prompt at one target, over and done; `repeat` counts from 0.

    `seconds` are of the whole conversation with all its steps, `first_token_seconds` of its first, and
    `tools_at_seconds` says when its first tool call was whole. Tokens and `pico` are sums over the steps; unknown is
    None. `model` and `upstream` are what the answer said of itself. `answer` is a salted hash. `problem` says in one
    word why it is unmeasured.
    """

    target: str
    prompt: str
    repeat: int
    outcome: Outcome
    at_milliseconds: int
    checks: tuple[Checked, ...] = ()
    steps: int = 0
    seconds: float | None = None
    first_token_seconds: float | None = None
    tools_at_seconds: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    pico: int | None = None
    tool_verdicts: tuple[ToolVerdict, ...] = ()
    finish: str = ""
    model: str = ""
    upstream: str = ""
    answer: str = ""
    problem: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What it is the result of."""
        return self.target, self.prompt, self.repeat


class Absent(msgspec.Struct, frozen=True, kw_only=True, tag="absent", tag_field="line"):
    """A target could not be asked any more, and why. It holds until somebody goes on with the run."""

    target: str
    why: str
    at_milliseconds: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended", tag_field="line"):
    """The run came to its end, with all or with less. `why` is empty when nothing is missing."""

    at_milliseconds: int
    why: str = ""


Line = Begun | Asked | Settled | Finished | Absent | Ended
"""A line of `results.jsonl`."""
