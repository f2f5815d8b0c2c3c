"""OpenRouter: hundreds of models of others behind one key (gateway/SPEC section 4.2). Pure.

Its base URL is `https://openrouter.ai/api`: the paths of `Work` begin with `/v1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.engines.engine import Capabilities, Probe, UpstreamError, UpstreamFacts
from fleet.engines.openai_request import shaped
from fleet.engines.openrouter_error import openrouter_error
from fleet.engines.spec import EngineCommand, SidecarSpec
from fleet.errors import ConfigError
from fleet.traffic.work import Work

_LONGEST_NAME = 256
_NAMES = ("user", "session_id")
# Usage comes with every answer, asked for or not: `usage` is a switch of former days.
_NOT_SENT = frozenset({"usage"})


class OpenRouter:
    """The client's own `provider`, `models`, `plugins`, `reasoning` and the like pass: what a client may say of them is
    for the gateway's policy. Images may be remote: OpenRouter fetches them, from outside of our walls.
    """

    name = "openrouter"
    capabilities = Capabilities(
        works=tuple(Work), batching=True, seed=True, tools=True, structured=True, cancel_nonstream=True
    )
    pooled = True
    live = Probe(method="GET", path="/v1/models")

    def ready(self, model: str) -> Probe:  # noqa: ARG002 (a completion would cost money, several times a minute)
        """That it is there and takes our key."""
        return Probe(method="GET", path="/v1/key")

    def command(self, spec: SidecarSpec) -> EngineCommand:
        """Raises ConfigError: it is a service."""
        raise ConfigError(
            f"sidecar {spec.name!r}: openrouter is a service, not started by fleet",
            hint="name it as an upstream, or use the engine mlx_lm",
        )

    def normalize(
        self, request: Mapping[str, Any], upstream: UpstreamFacts, *, work: Work = Work.CHAT, stream: bool = True
    ) -> dict[str, Any]:
        """The request to send. Raises RequestRefused. A `user` or `session_id` that it would refuse is left out."""
        out = shaped(request, upstream, work=work, stream=stream, without=_NOT_SENT)
        for name in _NAMES:
            value = out.get(name)
            if value is not None and not (isinstance(value, str) and len(value) <= _LONGEST_NAME):
                del out[name]
        return out

    def map_error(self, status: int, body: bytes) -> UpstreamError:
        """By availability, then error type, then code and status."""
        return openrouter_error(status, body)
