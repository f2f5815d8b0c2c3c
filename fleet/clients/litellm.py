"""LiteLLM's proxy: the fleet as a model list in its config.yaml. By its documentation; not run by us."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.clients.configuration import KEY_VARIABLE, Configuration, Offer, quoted, tagged


def litellm(offer: Offer) -> Configuration:
    """Every route is a model. `openai/` says that the front speaks OpenAI's language; LiteLLM cuts it off."""
    lines = ["model_list:"]
    for route in dict.fromkeys((offer.model, *offer.routes)):
        lines += _model(offer, route)
    if offer.tls:
        lines += ["litellm_settings:", f"  ssl_verify: {quoted(offer.certificate or 'FRONT.crt')}"]
    return Configuration(
        place="the config.yaml of the proxy",
        text="\n".join(lines) + "\n",
        notes=(
            "let it not try again by itself (router_settings: {num_retries: 0}): the front already did",
            "not run by us: written after LiteLLM's own documentation",
        ),
    )


def _model(offer: Offer, route: str) -> Iterator[str]:
    yield f"  - model_name: {quoted(route)}"
    yield "    litellm_params:"
    yield f"      model: {quoted(f'openai/{route}')}"
    yield f"      api_base: {quoted(offer.openai_url)}"
    yield f"      api_key: os.environ/{KEY_VARIABLE}"
    headers = ", ".join(f"{name}: {quoted(value)}" for name, value in tagged(offer, "litellm").items())
    yield f"      extra_headers: {{{headers}}}"
    if (context := offer.context_tokens.get(route)) is not None:
        yield f"    model_info: {{max_input_tokens: {context}}}"
