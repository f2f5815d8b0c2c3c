"""Continue, the editor's extension: models in config.yaml. By its documented schema v1; not run by us."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.clients.configuration import KEY_VARIABLE, Configuration, Offer, quoted, tagged


def continuedev(offer: Offer) -> Configuration:
    """Chat, edit and apply by the model, summaries by the small one."""
    lines = ["name: fleet", "version: 0.0.1", "schema: v1", "models:", *_model(offer, offer.model, "chat, edit, apply")]
    if offer.small and offer.small != offer.model:
        lines += _model(offer, offer.small, "summarize")
    return Configuration(
        place="~/.continue/config.yaml",
        text="\n".join(lines) + "\n",
        notes=(
            f"it reads the key from ~/.continue/.env, a line {KEY_VARIABLE}=…, not from the environment of the editor",
            "not run by us: written after Continue's own reference of config.yaml",
        ),
    )


def _model(offer: Offer, route: str, roles: str) -> Iterator[str]:
    yield f"  - name: {quoted(f'fleet {route}')}"
    yield "    provider: openai"
    yield f"    model: {quoted(route)}"
    yield f"    apiBase: {quoted(offer.openai_url)}"
    yield f"    apiKey: ${{{{ secrets.{KEY_VARIABLE} }}}}"
    yield f"    roles: [{roles}]"
    yield "    capabilities: [tool_use]"
    context, answer = offer.context_tokens.get(route), offer.answer_tokens(route)
    if context is not None and answer is not None:
        yield f"    defaultCompletionOptions: {{contextLength: {context}, maxTokens: {answer}}}"
    yield "    requestOptions:"
    if offer.tls:
        yield f"      caBundlePath: {quoted(offer.certificate or 'FRONT.crt')}"
    yield "      headers:"
    for name, value in tagged(offer, "continue").items():
        yield f"        {name}: {quoted(value)}"
