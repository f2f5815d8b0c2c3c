"""Which engines there are."""

from __future__ import annotations

import difflib

from fleet.engines.edge import Edge
from fleet.engines.engine import Engine
from fleet.engines.mlx_lm import MlxLm
from fleet.engines.openai_compatible import OpenAICompatible
from fleet.engines.openrouter import OpenRouter
from fleet.errors import ConfigError

ENGINE_NAMES = ("mlx_lm", "openai_compatible", "edge", "openrouter")


def engine(name: str) -> Engine:
    """The engine of that name. Raises ConfigError."""
    match name:
        case "mlx_lm":
            return MlxLm()
        case "openai_compatible":
            return OpenAICompatible()
        case "edge":
            return Edge()
        case "openrouter":
            return OpenRouter()
        case _:
            near = difflib.get_close_matches(name, ENGINE_NAMES, n=1)
            raise ConfigError(
                f"unknown engine {name!r}",
                detail=f"engines: {', '.join(ENGINE_NAMES)}",
                hint=f"did you mean {near[0]!r}?" if near else "",
            )
