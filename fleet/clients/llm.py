"""llm, Simon Willison's command: models in extra-openai-models.yaml. Tried with 0.36 (docs/clients.md)."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.clients.configuration import KEY_VARIABLE, Configuration, Offer, quoted, tagged


def llm(offer: Offer) -> Configuration:
    """Every route is a model of its own, `fleet-ROUTE`; the one that is asked for is `fleet` too."""
    routes = tuple(dict.fromkeys((offer.model, *offer.routes)))
    lines = [line for route in routes for line in _model(offer, route, main=route == offer.model)]
    return Configuration(
        place='extra-openai-models.yaml beside what "llm logs path" names',
        text="\n".join(lines) + "\n",
        exports=(
            f'llm keys set fleet --value "${KEY_VARIABLE}"',
            *offer.started("SSL_CERT_FILE", "llm", "-m", "fleet", "hello"),
        ),
    )


def _model(offer: Offer, route: str, *, main: bool) -> Iterator[str]:
    yield f"- model_id: {quoted(f'fleet-{route}')}"
    if main:
        yield "  aliases: [fleet]"
    yield f"  model_name: {quoted(route)}"
    yield f"  api_base: {quoted(offer.openai_url)}"
    yield "  api_key_name: fleet"
    yield "  supports_tools: true"
    headers = ", ".join(f"{name}: {quoted(value)}" for name, value in tagged(offer, "llm").items())
    yield f"  headers: {{{headers}}}"
