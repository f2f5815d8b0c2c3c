"""The variables of health: what routing does about a node that is not well, and what a front watches. Typed values."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from fleet.control.inventory.serving import Count, Span, Text

SIZE = r"^\s*\d+(\.\d+)?\s*([kKmMgGtT]([iI]?[bB])?|[bB])?\s*$"
Size = Annotated[int, Meta(ge=0)] | Annotated[str, Meta(pattern=SIZE)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Level = Annotated[int, Meta(ge=0, le=4)]


class HealthRoutingSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a node that is not well gets `less` new work, or `none` while another can serve. 0 = not looked at."""

    every: Annotated[Span | None, Meta(description="How often readings are fetched; 2s.")] = None
    stale: Annotated[Span | None, Meta(description="How long a reading is believed; 20s.")] = None
    clean_samples: Annotated[Count | None, Meta(description="Good samples in a row before it is well again; 2.")] = None
    headroom_less: Annotated[Size | None, Meta(description="Room under the GPU wired limit; 1GiB.")] = None
    headroom_none: Annotated[Size | None, Meta(description="The same; 256MiB.")] = None
    swapout_less: Annotated[Size | None, Meta(description="Bytes swapped out per second; 10MiB.")] = None
    swapout_none: Annotated[Size | None, Meta(description="The same; 100MiB.")] = None
    pace_less: Annotated[Ratio | None, Meta(description="Tokens/s as part of the node's own baseline; 0.6.")] = None
    pace_none: Annotated[Ratio | None, Meta(description="The same; 0.25.")] = None
    pressure_less: Annotated[Level | None, Meta(description="Memory pressure: 1, 2 or 4; 2.")] = None
    pressure_none: Annotated[Level | None, Meta(description="The same; 4.")] = None
    thermal_less: Annotated[Level | None, Meta(description="Thermal pressure, 1 to 4; 1.")] = None
    thermal_none: Annotated[Level | None, Meta(description="The same; 3.")] = None


class PowerHookSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a front runs for a node whose SSH port and gateway are both dead, while others answer."""

    argv: Annotated[
        list[Text],
        Meta(min_length=1, description="The command, an absolute path first; '{node}' (quoted) is the node's name."),
    ]
    after: Annotated[Span | None, Meta(description="How long both must be dead; 10m.")] = None
    again: Annotated[Span | None, Meta(description="Not twice within this time for one node; 1h.")] = None
