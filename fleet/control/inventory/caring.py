"""The variables of care: what the agent of a node may do for its sidecars by itself. Typed values, no rules. Pure."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from fleet.control.inventory.serving import SPAN, Count, Span, Text
from fleet.control.inventory.watching import Size

SpanOrNever = Annotated[float, Meta(ge=0)] | Annotated[str, Meta(pattern=SPAN)]


class GoldenSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A long prompt whose greedy answer is known. It is asked when nothing else runs."""

    prompt: Annotated[Text, Meta(description="The prompt; long, since short ones go right where long ones fail.")]
    answer: Annotated[Text, Meta(description="What the model answers to it at temperature 0.")]
    max_tokens: Annotated[Count, Meta(description="Tokens of the answer.")] = 32
    every: Annotated[Span, Meta(description="How often it is asked.")] = "1h"


class CareSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the agent may do for sidecars. 0 = never. `footprint_limit` and `golden` are by the sidecar's name."""

    restart_after: Annotated[
        SpanOrNever, Meta(description="How long it may refuse or generate nothing before it is restarted.")
    ] = "2m"
    drain: Annotated[Span, Meta(description="How long running requests may take to end before that.")] = "2m"
    refresh: Annotated[SpanOrNever, Meta(description="How often it is restarted when nothing runs on it.")] = 0
    quarantine: Annotated[
        bool, Meta(description="Whether a model with which the kernel panics twice within a week is drained.")
    ] = True
    cure_pended: Annotated[bool, Meta(description="Whether a start that launchd puts off is asked for again.")] = True
    most_restarts: Annotated[int, Meta(ge=0, description="Restarts within an hour, then it is left alone.")] = 3
    footprint_limit: Annotated[
        dict[str, Size], Meta(description="Memory with the GPU's at which a sidecar is restarted, such as 40GiB.")
    ] = {}
    golden: Annotated[dict[str, GoldenSetting], Meta(description="Long prompts with known answers.")] = {}
