"""Codex: a provider in config.toml. It speaks the Responses surface only. Tried with 0.169.0 (docs/clients.md)."""

from __future__ import annotations

from fleet.clients.configuration import KEY_VARIABLE, Configuration, Offer, quoted, tagged

_FIRST_TURN_TOKENS = 10_000
"""39 KB of system prompt and tools go with "hello"."""


def codex(offer: Offer) -> Configuration:
    """`wire_api = "chat"` is refused by Codex itself."""
    headers = ", ".join(f"{quoted(name)} = {quoted(value)}" for name, value in tagged(offer, "codex").items())
    lines = [f"model = {quoted(offer.model)}", 'model_provider = "fleet"']
    if (context := offer.context_tokens.get(offer.model)) is not None:
        lines += [f"model_context_window = {context}", f"model_auto_compact_token_limit = {context * 17 // 20}"]
    lines += [
        "",
        "[model_providers.fleet]",
        'name = "fleet"',
        f"base_url = {quoted(offer.openai_url)}",
        f"env_key = {quoted(KEY_VARIABLE)}",
        'wire_api = "responses"',
        f"http_headers = {{ {headers} }}",
    ]
    return Configuration(
        place="~/.codex/config.toml",
        text="\n".join(lines) + "\n",
        exports=offer.started("SSL_CERT_FILE", "codex"),
        notes=offer.too_small_for("Codex", first_turn_tokens=_FIRST_TURN_TOKENS),
    )
