"""opencode: a provider in opencode.json. Tried with 1.18.33 (docs/clients.md)."""

from __future__ import annotations

import json
from typing import Any

from fleet.clients.configuration import KEY_VARIABLE, Configuration, Offer, tagged

_PROVIDER = "fleet"
_FIRST_TURN_TOKENS = 8_000
"""31 KB of system prompt and tools go with "hello"."""


def opencode(offer: Offer) -> Configuration:
    """Both of its models are named: without a small one it asks somebody else's for the title of a session."""
    small = offer.small or offer.model
    config = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"{_PROVIDER}/{offer.model}",
        "small_model": f"{_PROVIDER}/{small}",
        "provider": {
            _PROVIDER: {
                "npm": "@ai-sdk/openai-compatible",
                "name": _PROVIDER,
                "options": {
                    "baseURL": offer.openai_url,
                    "apiKey": f"{{env:{KEY_VARIABLE}}}",
                    "headers": tagged(offer, "opencode"),
                },
                "models": {route: _model(offer, route) for route in dict.fromkeys((offer.model, small, *offer.routes))},
            }
        },
    }
    return Configuration(
        place="opencode.json in the project, or ~/.config/opencode/opencode.json",
        text=json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        exports=offer.trusting("NODE_EXTRA_CA_CERTS"),
        notes=(
            "each new session asks twice at once: the turn, and a title by small_model",
            *offer.too_small_for("opencode", first_turn_tokens=_FIRST_TURN_TOKENS),
        ),
    )


def _model(offer: Offer, route: str) -> dict[str, Any]:
    context, answer = offer.context_tokens.get(route), offer.answer_tokens(route)
    if context is None or answer is None:
        return {"name": route}
    return {"name": route, "limit": {"context": context, "output": answer}}
