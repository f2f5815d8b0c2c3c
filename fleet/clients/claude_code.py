"""Claude Code: its environment is all that it wants. Tried with 2.1.330 (docs/clients.md)."""

from __future__ import annotations

import shlex

from fleet.clients.configuration import KEY_VARIABLE, Configuration, Offer, tagged

_FIRST_TURN_TOKENS = 13_000
"""49 KB of system prompt and tools go with "hello"."""


def claude_code(offer: Offer) -> Configuration:
    """Anthropic's surface, whose base URL has no /v1."""
    headers = "\n".join(f"{name}: {value}" for name, value in tagged(offer, "claude-code").items())
    context = offer.context_tokens.get(offer.model)
    lines = (
        f"export ANTHROPIC_BASE_URL={shlex.quote(offer.url)}",
        f'export ANTHROPIC_AUTH_TOKEN="${KEY_VARIABLE}"',
        f"export ANTHROPIC_MODEL={shlex.quote(offer.model)}",
        f"export ANTHROPIC_DEFAULT_HAIKU_MODEL={shlex.quote(offer.small or offer.model)}",
        f"export ANTHROPIC_CUSTOM_HEADERS={shlex.quote(headers)}",
        "export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
        *((f"export CLAUDE_CODE_MAX_CONTEXT_TOKENS={context}",) if context is not None else ()),
        "unset ANTHROPIC_API_KEY",
        *offer.trusting("NODE_EXTRA_CA_CERTS"),
    )
    return Configuration(
        place="the shell that starts claude, or .envrc",
        exports=lines,
        notes=offer.too_small_for("Claude Code", first_turn_tokens=_FIRST_TURN_TOKENS),
    )
