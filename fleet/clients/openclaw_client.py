"""An OpenClaw of one's own: the fleet as a provider in its openclaw.json. Tried with 2026.9.6 (docs/clients.md)."""

from __future__ import annotations

import json

from fleet.clients.configuration import KEY_VARIABLE, Configuration, Offer
from fleet.clients.openclaw import PROVIDER, OfferedModel, provider

_FIRST_TURN_TOKENS = 15_000
"""60 KB of system prompt and tools go with "hello"."""


def openclaw(offer: Offer) -> Configuration:
    """A part to merge into its configuration; a whole service of the fleet is playbooks/openclaw.yml."""
    routes = tuple(dict.fromkeys((offer.model, *offer.routes)))
    models = [OfferedModel(route=route, context_tokens=offer.context_tokens.get(route)) for route in routes]
    entry = provider(models, base_url=offer.openai_url, key=f"${{{KEY_VARIABLE}}}")
    entry["headers"] = {**entry["headers"], **offer.headers}
    config = {
        "models": {"mode": "merge", "providers": {PROVIDER: entry}},
        "agents": {"defaults": {"model": {"primary": f"{PROVIDER}/{offer.model}"}}},
    }
    return Configuration(
        place="~/.openclaw/openclaw.json, beside what is there: it is read strictly, one unknown key refuses it whole",
        text=json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        exports=offer.trusting("NODE_EXTRA_CA_CERTS"),
        notes=(
            "as a service of a node, proved and kept: docs/openclaw.md",
            *offer.too_small_for("OpenClaw", first_turn_tokens=_FIRST_TURN_TOKENS),
        ),
    )
