"""The variables of serving that have parts: upstreams, routes, timeouts, the queue. Typed values, no rules. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fleet.vocabulary.names import Sensitivity, Track

OPENROUTER = "openrouter"
OPENROUTER_URL = "https://openrouter.ai/api"
API_IN_FLIGHT = 64
"""An API has no memory of ours to run out of; its own limits answer 429, and the request goes elsewhere."""

SPAN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$"
Span = Annotated[float, Meta(gt=0)] | Annotated[str, Meta(pattern=SPAN)]
Count = Annotated[int, Meta(ge=1)]
Usd = Annotated[float, Meta(ge=0)]
Text = Annotated[str, Meta(min_length=1)]
Work = Literal["chat", "completions", "embeddings"]


class MostSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The dearest that the API's conditions allow: long prompts, hours, other providers."""

    prompt_per_million: Usd
    completion_per_million: Usd
    request: Usd = 0.0


class PriceSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """USD per million tokens, as providers print it; `request` is per request. What is reserved goes by `most`."""

    prompt_per_million: Usd = 0.0
    completion_per_million: Usd = 0.0
    cached_per_million: Annotated[Usd | None, Meta(description="Of a prompt that was cached; as any when absent.")] = (
        None
    )
    request: Usd = 0.0
    most: Annotated[MostSetting | None, Meta(description="The dearest it can be; these prices when absent.")] = None


class ApiModelSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model of an upstream. `asked` is its name there; what is not said here is the upstream's."""

    asked: Text
    context: Annotated[Count | None, Meta(description="Tokens of prompt and answer together.")] = None
    max_in_flight: Count | None = None
    works: list[Work] | None = None
    price: PriceSetting | None = None


class UpstreamSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An API that fronts may send requests to.

    `models` maps the name under which routes and clients know a model to its name there; a list means equal names.
    """

    models: Annotated[
        list[Text] | dict[str, Text | ApiModelSetting],
        Meta(description="Served name -> the name there (or its parts); a list where the names are equal."),
    ]
    engine: Annotated[
        Literal["openrouter", "openai_compatible"] | None,
        Meta(description="What it speaks; `openrouter` for an upstream of that name, else `openai_compatible`."),
    ] = None
    url: Annotated[
        Text | None, Meta(description="Its base URL, with or without /v1; OpenRouter's own when absent.")
    ] = None
    key: Annotated[Text | None, Meta(description="Secret reference of the key that the front shows there.")] = None
    context: Annotated[Count | None, Meta(description="Tokens of prompt and answer together.")] = None
    max_in_flight: Annotated[Count, Meta(description="Requests at once, per model.")] = API_IN_FLIGHT
    works: Annotated[
        list[Work] | None, Meta(description="What it is asked for; what its engine offers when absent.")
    ] = None
    price: PriceSetting | None = None
    headers: Annotated[
        dict[str, str], Meta(description="Sent with every request, like HTTP-Referer and X-Title. Never the key.")
    ] = {}

    def served(self) -> dict[str, ApiModelSetting]:
        """Every model by its served name, with what the upstream says of all of them."""
        named = self.models if isinstance(self.models, dict) else {name: name for name in self.models}
        found = {}
        for name, one in named.items():
            model = one if isinstance(one, ApiModelSetting) else ApiModelSetting(asked=one)
            found[name] = ApiModelSetting(
                asked=model.asked,
                context=model.context or self.context,
                max_in_flight=model.max_in_flight or self.max_in_flight,
                works=self.works if model.works is None else model.works,
                price=model.price or self.price,
            )
        return found

    def engine_of(self, name: str) -> str:
        """The engine of the upstream called `name`."""
        return self.engine or (OPENROUTER if name == OPENROUTER else "openai_compatible")

    def base_url(self, name: str) -> str | None:
        """Where it answers, without /v1 (the gateway adds it); None when that is not said."""
        default = OPENROUTER_URL if self.engine_of(name) == OPENROUTER else None
        return self.url.rstrip("/").removesuffix("/v1") if self.url else default


class TimeoutSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How long a front or edge waits; spans like 90s or 5m."""

    connect: Annotated[Span | None, Meta(description="For an upstream to take a connection; 2s.")] = None
    first_token: Annotated[Span | None, Meta(description="For the first token, also of a unary answer; 3m.")] = None
    idle: Annotated[Span | None, Meta(description="Between two signs of an answer; 2m.")] = None
    total: Annotated[Span | None, Meta(description="For the whole request; 30m.")] = None
    queue: Annotated[Span | None, Meta(description="For a place when all upstreams are full, then 429; 10s.")] = None


class QueueSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who may wait for a place when all upstreams are full; beyond that the answer is 429 at once."""

    longest: Annotated[Count | None, Meta(description="Requests that wait, in all; 1024.")] = None
    per_key: Annotated[Count | None, Meta(description="Requests that wait, of one key; 256.")] = None


class RouteSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A route with more to say than its models."""

    models: Annotated[list[Text], Meta(min_length=1, description="Served model names, in order of preference.")]
    track: Annotated[
        Track | None,
        Meta(description="`private` when only own machines serve its models, else `token`, when absent."),
    ] = None
    timeouts: Annotated[TimeoutSetting | None, Meta(description="Instead of the gateway's, for this route.")] = None
    sensitivity: Annotated[Sensitivity | None, Meta(description="The least label of what comes here.")] = None
    folds_to: Annotated[Text | None, Meta(description="The route that serves what this one refuses.")] = None
    gray: Annotated[Text | None, Meta(description="The gray route that gets its share of this one's requests.")] = None
    share: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Of a gray route: its part of the requests; 0.10.")
    ] = None
    token_share: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Of a gray route: its part of the tokens as well.")
    ] = None
    burst: Annotated[Count | None, Meta(description="Of a gray route: how many requests may follow each other.")] = None
    unlabelled: Annotated[
        bool | None, Meta(description="Of a gray route: whether it takes what names no repository.")
    ] = None
    least_calls: Annotated[
        Count | None, Meta(description="Of a gray route: scored tool calls that a week's verdict needs; 200.")
    ] = None
    suspend: Annotated[
        Span | None, Meta(description="Of a gray route: how long five failures in a row keep it out; 1h.")
    ] = None


def route_of(written: list[str] | RouteSetting) -> RouteSetting:
    """A route, whichever way it was written."""
    return written if isinstance(written, RouteSetting) else RouteSetting(models=written)
